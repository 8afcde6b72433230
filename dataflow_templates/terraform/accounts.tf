# Three accounts, each with the least that its part does.

resource "google_service_account" "worker" {
  account_id   = "tuneset-worker"
  display_name = "Tuneset: launcher and workers of the job"
}

resource "google_service_account" "night" {
  account_id   = "tuneset-night"
  display_name = "Tuneset: the workflow that launches a job and looks at its end"
}

resource "google_service_account" "scheduler" {
  account_id   = "tuneset-scheduler"
  display_name = "Tuneset: starts the workflow"
}

# The worker: takes work from the service, writes logs and metrics.
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
  for_each = var.input_buckets
  bucket   = each.key
  role     = "roles/storage.objectViewer"
  member   = google_service_account.worker.member
}

# objectUser and not objectAdmin: objects are created, replaced and deleted, and nobody's rights to them are changed.
resource "google_storage_bucket_iam_member" "worker_writes" {
  for_each = {
    temp     = google_storage_bucket.temp.name
    datasets = google_storage_bucket.datasets.name
  }
  bucket = each.value
  role   = "roles/storage.objectUser"
  member = google_service_account.worker.member
}

# The workflow: creates jobs and looks at them. roles/dataflow.developer would let it change and cancel every job.
resource "google_project_iam_custom_role" "launcher" {
  role_id     = "tunesetLauncher"
  title       = "Launch Dataflow jobs and look at them"
  permissions = ["dataflow.jobs.create", "dataflow.jobs.get"]
}

resource "google_project_iam_member" "night_launches" {
  project = var.project
  role    = google_project_iam_custom_role.launcher.name
  member  = google_service_account.night.member
}

resource "google_service_account_iam_member" "night_acts_as_worker" {
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.night.member
}

resource "google_storage_bucket_iam_member" "night_reads" {
  for_each = {
    temp     = google_storage_bucket.temp.name     # the spec
    datasets = google_storage_bucket.datasets.name # the manifests
  }
  bucket = each.value
  role   = "roles/storage.objectViewer"
  member = google_service_account.night.member
}

# The scheduler: starts the workflow.
resource "google_project_iam_member" "scheduler_starts" {
  project = var.project
  role    = "roles/workflows.invoker"
  member  = google_service_account.scheduler.member
}
