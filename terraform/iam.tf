# A role for each service, and nothing in it that its code does not call: consumers/tests/terraform.rs reads the calls from
# the sources, and what is allowed from here.
locals {
  # By the name of the service, its service account and its prefix. `puts`: where objects are written once and read.
  services = {
    inventory-service = { puts = ["dlq/inventory-service"] }
    analytics-service = { puts = ["dlq/analytics-service", "reports"] }
    search-indexer    = { puts = ["dlq/search-indexer"] }
  }

  kms_keys = var.bucket_kms_key_arn == null ? [] : [var.bucket_kms_key_arn]
}

data "aws_iam_policy_document" "service" {
  for_each = local.services

  dynamic "statement" {
    for_each = contains([for view in local.views : view.service], each.key) ? [each.key] : []
    content {
      sid       = "Items"
      actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [for name, view in local.tables : aws_dynamodb_table.view[name].arn if view.service == statement.value]
    }
  }

  statement {
    sid       = "State"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.data.arn}/state/${each.key}/*"]
  }

  # Nothing of these is deleted by a service.
  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [for prefix in each.value.puts : "${aws_s3_bucket.data.arn}/${prefix}/*"]
  }

  # Without it a missing object is answered with 403 instead of 404, and 403 halts a service. That question has no
  # s3:prefix, hence IfExists.
  statement {
    sid       = "Names"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = [for prefix in concat(["state/${each.key}"], each.value.puts) : "${prefix}/*"]
    }
  }

  dynamic "statement" {
    for_each = local.kms_keys
    content {
      sid       = "Key"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.amazonaws.com"]
      }
    }
  }
}

# Only a pod of this service account, in this namespace of this cluster.
data "aws_iam_policy_document" "pod" {
  for_each = toset(concat(keys(local.services), ["cdc"]))

  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/eks-cluster-name"
      values   = [var.cluster_name]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kubernetes-namespace"
      values   = [var.namespace]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kubernetes-service-account"
      values   = [each.key]
    }
  }
}

resource "aws_iam_role" "service" {
  for_each = local.services

  name                 = "cdc-${var.environment}-${each.key}"
  description          = "The pods of ${each.key} in ${var.namespace}, ${var.cluster_name}"
  assume_role_policy   = data.aws_iam_policy_document.pod[each.key].json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "service" {
  for_each = local.services

  name   = "what-it-calls"
  role   = aws_iam_role.service[each.key].id
  policy = data.aws_iam_policy_document.service[each.key].json
}

resource "aws_eks_pod_identity_association" "service" {
  for_each = local.services

  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = each.key
  role_arn        = aws_iam_role.service[each.key].arn
}
