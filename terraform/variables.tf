variable "region" {
  description = "Where all of it is: AWS_REGION of the services."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region, such as eu-central-1."
  }
}

variable "environment" {
  description = "Part of the names of roles and repositories, so that two environments can share an account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "2 to 16 small letters, digits or hyphens, a letter first."
  }
}

variable "cluster_name" {
  description = "The EKS cluster. It has the add-on eks-pod-identity-agent."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", var.cluster_name))
    error_message = "The name of an EKS cluster, not its ARN."
  }
}

variable "namespace" {
  description = "Of the service accounts."
  type        = string
  default     = "cdc-consumers"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A Kubernetes namespace."
  }
}

variable "bucket" {
  description = "The bucket for reports/, state/ and dlq/: S3_BUCKET, and DLQ=s3://BUCKET/dlq."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "3 to 63 small letters, digits or hyphens; no dots, which TLS certificates do not cover."
  }
}

variable "bucket_kms_key_arn" {
  description = "A KMS key for the bucket. null: S3's own (AES256). The roles get what they need of the key; its policy must let the account's IAM decide."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.bucket_kms_key_arn))
    error_message = "The ARN of a key (not of an alias), or null."
  }
}

variable "table_prefix" {
  description = "Before the tables' names, such as dev-. Services are then told by DYNAMODB_TABLE and DYNAMODB_TOKENS_TABLE: see the output `settings`."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-z0-9][a-z0-9._-]{0,30})?$", var.table_prefix))
    error_message = "At most 31 small letters, digits, dots, hyphens or underscores."
  }
}

variable "generations" {
  description = "One set of tables for each; from 2 on their names end in -g2 and so on. Add one for a new generation; take the old one away when nobody reads it. The newest comes last."
  type        = list(number)
  default     = [1]

  validation {
    condition     = length(var.generations) > 0 && alltrue([for g in var.generations : g >= 1 && floor(g) == g])
    error_message = "Whole numbers from 1 on; at least one."
  }
}

variable "deletion_protection" {
  description = "Of the tables. Switch it off in a step of its own, before tables are to go."
  type        = bool
  default     = true
}

variable "retention_days" {
  description = <<-TEXT
    Of what is kept in the bucket, in days. report_history: reports as of earlier positions (reports/<report>/at-*.json).
    letters: dead letters; null: until `cdc dlq purge` removes them. replaced_*: what was replaced or deleted, and could be
    brought back.
  TEXT
  type = object({
    report_history   = optional(number, 400)
    letters          = optional(number)
    replaced_reports = optional(number, 30)
    replaced_letters = optional(number, 90)
    replaced_state   = optional(number, 7)
  })
  default = {}

  validation {
    condition     = alltrue([for days in values(var.retention_days) : days == null ? true : days >= 1 && floor(days) == days])
    error_message = "Whole days, 1 or more."
  }
  validation {
    condition     = var.retention_days.letters == null ? true : var.retention_days.letters >= 14
    error_message = "A dead letter is the only copy once its topic's retention is over: 14 days or more, or null."
  }
}

variable "repositories" {
  description = "Before the images' names in ECR: PREFIX/inventory-service. null: no repositories are made (they are another environment's, or elsewhere)."
  type        = string
  default     = "cdc"

  validation {
    condition     = var.repositories == null || can(regex("^[a-z0-9][a-z0-9/_-]{0,99}$", var.repositories))
    error_message = "Small letters, digits, hyphens, underscores and slashes, or null."
  }
}

variable "operators" {
  description = "ARNs of IAM roles or users that may become `cdc verify`'s and `cdc doctor`'s roles. Empty: these roles are not made."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.operators : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "ARNs of IAM roles or users."
  }
}

variable "permissions_boundary_arn" {
  description = "Of all roles, where the account demands one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Beside `project` and `environment`, on everything."
  type        = map(string)
  default     = {}
}
