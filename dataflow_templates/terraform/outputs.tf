output "spec" {
  description = "Where `tuneset template build --spec` must write."
  value       = "gs://${google_storage_bucket.temp.name}/templates/batch.json"
}

output "datasets" {
  description = "Where each night's dataset appears, in a folder named by its date."
  value       = "gs://${google_storage_bucket.datasets.name}"
}

output "image" {
  description = "What the image's name begins with: append NAME:TAG."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
