output "spec" {
  description = "Where `tuneset template build --name stream --spec` must write, before the job is applied."
  value       = google_dataflow_flex_template_job.stream.container_spec_gcs_path
}

output "stream" {
  description = "What `tuneset merge` is given."
  value       = "gs://${google_storage_bucket.windows.name}/stream"
}

output "image" {
  description = "What the image's name begins with: append NAME:TAG."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
