# One account of ours, and two of Google's that carry messages; each with the least that its part does.

resource "google_service_account" "worker" {
  account_id   = "tuneset-stream"
  display_name = "Tuneset: launcher and workers of the stream"
}

resource "google_project_iam_member" "worker_works" {
  project = var.project
  role    = "roles/dataflow.worker"
  member  = google_service_account.worker.member
}

resource "google_artifact_registry_repository_iam_member" "worker_pulls" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "worker_reads" {
  bucket = var.input_bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.worker.member
}

# objectUser and not objectAdmin: objects are created, replaced and deleted, and nobody's rights to them are changed.
resource "google_storage_bucket_iam_member" "worker_writes" {
  for_each = {
    temp    = google_storage_bucket.temp.name
    windows = google_storage_bucket.windows.name
  }
  bucket = each.value
  role   = "roles/storage.objectUser"
  member = google_service_account.worker.member
}

resource "google_pubsub_subscription_iam_member" "worker_subscribes" {
  for_each     = toset(["roles/pubsub.subscriber", "roles/pubsub.viewer"])
  subscription = google_pubsub_subscription.uploads.name
  role         = each.key
  member       = google_service_account.worker.member
}

# Cloud Storage's own account publishes what was uploaded.
data "google_storage_project_service_account" "bucket" {
}

resource "google_pubsub_topic_iam_member" "bucket_publishes" {
  topic  = google_pubsub_topic.uploads.id
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:${data.google_storage_project_service_account.bucket.email_address}"
}

# Pub/Sub's own account moves what is dead.
data "google_project" "this" {
}

resource "google_pubsub_topic_iam_member" "dead_are_published" {
  topic  = google_pubsub_topic.dead.id
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_subscription_iam_member" "dead_are_acknowledged" {
  subscription = google_pubsub_subscription.uploads.name
  role         = "roles/pubsub.subscriber"
  member       = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}
