variable "project" {
  description = "Project that everything runs in."
  type        = string
}

variable "region" {
  description = "Region of the job, the buckets and the image."
  type        = string
}

variable "input_bucket" {
  description = "Bucket whose uploads are taken."
  type        = string
}

variable "input_prefix" {
  description = "Only uploads whose names begin so are announced: a folder with a / at its end, or nothing."
  type        = string
  default     = ""
}

variable "image" {
  description = "The template's image, as `tuneset template build` was given it."
  type        = string
}

variable "window_seconds" {
  description = "How long a window lasts."
  type        = number
  default     = 300
}

variable "parameters" {
  description = "Further parameters of the template, such as { prompt = \"What is it?\" }."
  type        = map(string)
  default     = {}
}

variable "max_workers" {
  description = "Workers at most."
  type        = number
  default     = 10
}

variable "alert_email" {
  description = "Who is told where windows lag behind."
  type        = string
}
