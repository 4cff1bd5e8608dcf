# For people: `cdc` with the credentials of one of these roles.
#   read    cdc verify, cdc doctor, cdc dlq list and show
#   repair  cdc verify --repair, cdc dlq replay and purge, beside `read`
#   fix     cdc doctor --fix, beside `read`
# And `read` for a pod: service account cdc.
locals {
  operators = length(var.operators) == 0 ? {} : {
    read   = data.aws_iam_policy_document.read.json
    repair = data.aws_iam_policy_document.repair.json
    fix    = data.aws_iam_policy_document.fix.json
  }

  table_arns = [for name, view in local.tables : aws_dynamodb_table.view[name].arn]
}

data "aws_iam_policy_document" "read" {
  statement {
    sid = "Tables"
    actions = [
      "dynamodb:DescribeContinuousBackups",
      "dynamodb:DescribeTable",
      "dynamodb:DescribeTimeToLive",
      "dynamodb:GetItem",
      "dynamodb:Scan",
    ]
    resources = local.table_arns
  }

  # `cdc doctor` tries a write of an item that nobody has, under a condition that never holds.
  statement {
    sid       = "TryToWrite"
    actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = local.table_arns

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["-9223372036854775808", "\u0001cdc-doctor"]
    }
    condition {
      test     = "Null"
      variable = "dynamodb:LeadingKeys"
      values   = ["false"]
    }
  }

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject"]
    resources = [for prefix in ["state", "dlq", "reports"] : "${aws_s3_bucket.data.arn}/${prefix}/*"]
  }
  statement {
    sid       = "Names"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
  }

  # `cdc doctor` puts an object of its own, and removes it.
  statement {
    sid       = "TryToPut"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = [for prefix in ["state/*", "dlq", "reports"] : "${aws_s3_bucket.data.arn}/${prefix}/.doctor/*"]
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

data "aws_iam_policy_document" "repair" {
  source_policy_documents = [data.aws_iam_policy_document.read.json]

  statement {
    sid       = "RepairItems"
    actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = local.table_arns
  }
  statement {
    sid       = "RepairReports"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/reports/*"]
  }
  # Marks of letters that were replayed; letters that are purged.
  statement {
    sid       = "Letters"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.data.arn}/dlq/*"]
  }
}

data "aws_iam_policy_document" "fix" {
  source_policy_documents = [data.aws_iam_policy_document.read.json]

  statement {
    sid       = "MakeTables"
    actions   = ["dynamodb:CreateTable", "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive"]
    resources = local.table_arns
  }
  statement {
    sid       = "MakeBucket"
    actions   = ["s3:CreateBucket", "s3:PutBucketPublicAccessBlock"]
    resources = [aws_s3_bucket.data.arn]
  }
}

data "aws_iam_policy_document" "operators" {
  statement {
    actions = ["sts:AssumeRole"]

    dynamic "principals" {
      for_each = length(var.operators) == 0 ? [] : ["AWS"]
      content {
        type        = principals.value
        identifiers = var.operators
      }
    }
  }
}

resource "aws_iam_role" "operator" {
  for_each = local.operators

  name                 = "cdc-${var.environment}-operator-${each.key}"
  description          = "People who run cdc: see terraform/operators.tf"
  assume_role_policy   = data.aws_iam_policy_document.operators.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "operator" {
  for_each = local.operators

  name   = each.key
  role   = aws_iam_role.operator[each.key].id
  policy = each.value
}

resource "aws_iam_role" "cdc" {
  name                 = "cdc-${var.environment}-cdc"
  description          = "cdc verify and doctor in ${var.namespace}, ${var.cluster_name}"
  assume_role_policy   = data.aws_iam_policy_document.pod["cdc"].json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "cdc" {
  name   = "read"
  role   = aws_iam_role.cdc.id
  policy = data.aws_iam_policy_document.read.json
}

resource "aws_eks_pod_identity_association" "cdc" {
  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = "cdc"
  role_arn        = aws_iam_role.cdc.arn
}
