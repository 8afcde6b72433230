# A stream: uploads -> notification -> topic -> subscription -> Dataflow job -> sealed windows, and an alert where they lag behind.
# docs/streaming.md tells why each role.

terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.30"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 5.30"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

provider "google-beta" {
  project = var.project
  region  = var.region
}

resource "google_project_service" "needed" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "compute.googleapis.com",
    "dataflow.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "storage.googleapis.com",
  ])
  service            = each.key
  disable_on_destroy = false
}

resource "google_artifact_registry_repository" "images" {
  location      = var.region
  repository_id = "tuneset-stream"
  format        = "DOCKER"
  depends_on    = [google_project_service.needed]
}

# What is deleted from it is meant to be gone: soft delete would bill each temporary file for a week.
resource "google_storage_bucket" "temp" {
  name                        = "${var.project}-tuneset-stream-temp"
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

resource "google_storage_bucket" "windows" {
  name                        = "${var.project}-tuneset-windows"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
}

# Uploads are announced.

resource "google_pubsub_topic" "uploads" {
  name                       = "tuneset-uploads"
  message_retention_duration = "604800s" # a week: a subscription can be set back in time
  depends_on                 = [google_project_service.needed]
}

resource "google_storage_notification" "uploads" {
  bucket             = var.input_bucket
  topic              = google_pubsub_topic.uploads.id
  payload_format     = "JSON_API_V1"
  event_types        = ["OBJECT_FINALIZE"]
  object_name_prefix = var.input_prefix
  depends_on         = [google_pubsub_topic_iam_member.bucket_publishes]
}

resource "google_pubsub_topic" "dead" {
  name                       = "tuneset-uploads-dead"
  message_retention_duration = "2678400s" # 31 days, the most
  depends_on                 = [google_project_service.needed]
}

# Keeps what is dead: a topic without a subscription keeps nothing that can be pulled.
resource "google_pubsub_subscription" "dead" {
  name                       = "tuneset-uploads-dead"
  topic                      = google_pubsub_topic.dead.id
  message_retention_duration = "2678400s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "uploads" {
  name                       = "tuneset-uploads"
  topic                      = google_pubsub_topic.uploads.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s" # for as long a job may be away

  expiration_policy {
    ttl = "" # never, also if no job reads it
  }

  # The most that can be asked for: a delivery that no worker came to is an attempt, too, and a good message must not end here.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = 100
  }
}

# The job. A change drains it: open windows are sealed part-filled, and the next job goes on.
resource "google_dataflow_flex_template_job" "stream" {
  provider                = google-beta
  name                    = "tuneset-stream"
  region                  = var.region
  container_spec_gcs_path = "gs://${google_storage_bucket.temp.name}/templates/stream.json"
  on_delete               = "drain"
  service_account_email   = google_service_account.worker.email
  temp_location           = "gs://${google_storage_bucket.temp.name}/temp"
  staging_location        = "gs://${google_storage_bucket.temp.name}/staging"
  max_workers             = var.max_workers
  enable_streaming_engine = true
  parameters = merge(var.parameters, {
    subscription        = google_pubsub_subscription.uploads.id
    watch               = "gs://${var.input_bucket}/${var.input_prefix}"
    output              = "gs://${google_storage_bucket.windows.name}/stream"
    window              = "${var.window_seconds}s"
    sdk_container_image = var.image
  })
}

# Told where windows lag behind.

resource "google_monitoring_notification_channel" "email" {
  display_name = "Tuneset stream"
  type         = "email"
  labels       = { email_address = var.alert_email }
}

# The age of the oldest arrival that is not sealed: in the job it is the data watermark's; of what no job took, the subscription's.
resource "google_monitoring_alert_policy" "lagging" {
  display_name          = "Tuneset: the oldest unsealed arrival is too old"
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]

  conditions {
    display_name = "In the job"
    condition_threshold {
      filter          = "resource.type = \"dataflow_job\" AND metric.type = \"dataflow.googleapis.com/job/data_watermark_age\" AND resource.labels.job_name = starts_with(\"${google_dataflow_flex_template_job.stream.name}\")"
      comparison      = "COMPARISON_GT"
      threshold_value = 2 * var.window_seconds + 600
      duration        = "300s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  conditions {
    display_name = "In the subscription"
    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.uploads.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 600
      duration        = "300s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = "Look at the job's log. If there is no job, apply again: nothing is lost as long as the subscription keeps its messages, a week."
  }
}
