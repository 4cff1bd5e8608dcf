output "role_arns" {
  description = "By service account."
  value       = merge({ for name, role in aws_iam_role.service : name => role.arn }, { cdc = aws_iam_role.cdc.arn })
}

output "operator_role_arns" {
  description = "read, repair, fix; empty without `operators`."
  value       = { for name, role in aws_iam_role.operator : name => role.arn }
}

output "bucket" {
  value = aws_s3_bucket.data.id
}

output "table_arns" {
  value = { for name, table in aws_dynamodb_table.view : name => table.arn }
}

output "repository_urls" {
  value = { for name, repository in aws_ecr_repository.image : name => repository.repository_url }
}

output "settings" {
  description = "Of each service, for k8s/overlays/*/*.env; with the newest set of tables."
  value = {
    inventory-service = merge(local.settings, {
      DYNAMODB_TABLE = "${var.table_prefix}inventory-realtime${local.newest}"
    })
    analytics-service = local.settings
    search-indexer = merge(local.settings, {
      DYNAMODB_TABLE        = "${var.table_prefix}product-search-index${local.newest}"
      DYNAMODB_TOKENS_TABLE = "${var.table_prefix}product-search-tokens${local.newest}"
    })
  }
}

locals {
  generation = var.generations[length(var.generations) - 1]
  newest     = local.generation == 1 ? "" : "-g${local.generation}"

  settings = {
    AWS_REGION = var.region
    S3_BUCKET  = var.bucket
    DLQ        = "s3://${var.bucket}/dlq"
    GENERATION = tostring(local.generation)
  }
}
