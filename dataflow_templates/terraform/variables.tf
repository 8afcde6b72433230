variable "project" {
  description = "Project that everything runs in."
  type        = string
}

variable "region" {
  description = "Region of jobs, buckets and the image."
  type        = string
}

variable "input" {
  description = "What is prepared each night: the template's parameter `input`."
  type        = string
}

variable "input_buckets" {
  description = "Buckets that rows and images are read from."
  type        = set(string)
}

variable "image" {
  description = "The template's image, as `tuneset template build` was given it."
  type        = string
}

variable "parameters" {
  description = "Further parameters of the template, such as { types = \"jpeg,png\" }."
  type        = map(string)
  default     = {}
}

variable "schedule" {
  description = "When a night begins, as cron says it."
  type        = string
  default     = "0 1 * * *"
}

variable "time_zone" {
  description = "Time zone of the schedule."
  type        = string
  default     = "Etc/UTC"
}

variable "max_workers" {
  description = "Workers at most."
  type        = number
  default     = 20
}

variable "flexrs_goal" {
  description = "FLEXRS_COST_OPTIMIZED: cheaper, and begun within six hours. FLEXRS_SPEED_OPTIMIZED: at once."
  type        = string
  default     = "FLEXRS_COST_OPTIMIZED"
}

variable "alert_email" {
  description = "Who is told of a night that failed or did not seal."
  type        = string
}
