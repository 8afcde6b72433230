# The nightly job: schedule -> workflow -> Dataflow job -> a sealed dataset, or an alert. docs/dataflow.md tells why each role.

terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.30"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_project_service" "needed" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "dataflow.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "storage.googleapis.com",
    "workflows.googleapis.com",
  ])
  service            = each.key
  disable_on_destroy = false
}

resource "google_artifact_registry_repository" "images" {
  location      = var.region
  repository_id = "tuneset"
  format        = "DOCKER"
  depends_on    = [google_project_service.needed]
}

# What is deleted from it is meant to be gone: soft delete would bill each staged and temporary file for a week.
resource "google_storage_bucket" "temp" {
  name                        = "${var.project}-tuneset-temp"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    condition {
      age            = 14
      matches_prefix = ["temp/", "staging/"]
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_storage_bucket" "datasets" {
  name                        = "${var.project}-tuneset-datasets"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
}

resource "google_workflows_workflow" "night" {
  name                = "tuneset-night"
  region              = var.region
  description         = "Launch the template for today, wait, and fail unless the dataset is sealed."
  service_account     = google_service_account.night.email
  deletion_protection = false
  source_contents     = file("${path.module}/night.yaml")
  user_env_vars = {
    PROJECT  = var.project
    REGION   = var.region
    SPEC     = "gs://${google_storage_bucket.temp.name}/templates/batch.json"
    DATASETS = google_storage_bucket.datasets.name
  }
  depends_on = [google_project_service.needed]
}

resource "google_cloud_scheduler_job" "night" {
  name      = "tuneset-night"
  region    = var.region
  schedule  = var.schedule
  time_zone = var.time_zone

  http_target {
    http_method = "POST"
    uri         = "https://workflowexecutions.googleapis.com/v1/${google_workflows_workflow.night.id}/executions"
    headers     = { "Content-Type" = "application/json" }
    body = base64encode(jsonencode({
      argument = jsonencode({
        parameters = merge(var.parameters, { input = var.input, sdk_container_image = var.image })
        environment = {
          maxWorkers          = var.max_workers
          flexrsGoal          = var.flexrs_goal
          serviceAccountEmail = google_service_account.worker.email
          tempLocation        = "gs://${google_storage_bucket.temp.name}/temp"
          stagingLocation     = "gs://${google_storage_bucket.temp.name}/staging"
        }
      })
    }))
    oauth_token {
      service_account_email = google_service_account.scheduler.email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }
}

resource "google_monitoring_notification_channel" "email" {
  display_name = "Tuneset nights"
  type         = "email"
  labels       = { email_address = var.alert_email }
}

# The workflow fails when the job failed and when the dataset was not sealed: one condition covers both.
resource "google_monitoring_alert_policy" "failed_night" {
  display_name          = "Tuneset: a night failed or was not sealed"
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]

  conditions {
    display_name = "The workflow failed"
    condition_threshold {
      filter          = "resource.type = \"workflows.googleapis.com/Workflow\" AND resource.labels.workflow_id = \"${google_workflows_workflow.night.name}\" AND metric.type = \"workflows.googleapis.com/finished_execution_count\" AND metric.labels.status = \"FAILED\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_DELTA"
      }
    }
  }

  documentation {
    content = "The execution's error says why. What was committed is kept: run the workflow again, and the same night goes on."
  }
}
