locals {
  # What analytics-service publishes.
  reports = ["customer_metrics", "daily_sales", "order_status", "product_sales", "summary"]

  report_folders = flatten([
    for generation in var.generations : [
      for report in local.reports : generation == 1 ? "reports/${report}" : "reports/g${generation}/${report}"
    ]
  ])
}

resource "aws_s3_bucket" "data" {
  bucket = var.bucket
}

resource "aws_s3_bucket_ownership_controls" "data" {
  bucket = aws_s3_bucket.data.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "data" {
  bucket = aws_s3_bucket.data.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  bucket = aws_s3_bucket.data.id

  rule {
    # One key request for many objects: the state makes many small ones.
    bucket_key_enabled = var.bucket_kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.bucket_kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.bucket_kms_key_arn
    }
  }
}

# An older version brings back what a hand deleted or replaced: a report, a letter. It does not bring back a state: its
# objects belong together, and an old one would go on where the tables are long past. Versions of state/ only cost.
resource "aws_s3_bucket_versioning" "data" {
  bucket = aws_s3_bucket.data.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "data" {
  bucket = aws_s3_bucket.data.id

  rule {
    id     = "uploads-and-markers"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
    expiration {
      expired_object_delete_marker = true
    }
  }

  # SlateDB writes new files and deletes old ones all the time; each deleted one stays as a version until this removes it.
  # Nothing that is current expires below state/, ever.
  rule {
    id     = "replaced-state"
    status = "Enabled"

    filter {
      prefix = "state/"
    }
    noncurrent_version_expiration {
      noncurrent_days = var.retention_days.replaced_state
    }
  }

  # latest.json and reports/.parts/ are replaced at each publication.
  rule {
    id     = "replaced-reports"
    status = "Enabled"

    filter {
      prefix = "reports/"
    }
    noncurrent_version_expiration {
      noncurrent_days = var.retention_days.replaced_reports
    }
  }

  rule {
    id     = "replaced-letters"
    status = "Enabled"

    filter {
      prefix = "dlq/"
    }
    noncurrent_version_expiration {
      noncurrent_days = var.retention_days.replaced_letters
    }
  }

  # A report made at a position is never changed. Neither latest.json, which a quiet shop does not replace for months, nor reports/.parts/.
  dynamic "rule" {
    for_each = local.report_folders
    content {
      id     = "history of ${rule.value}"
      status = "Enabled"

      filter {
        prefix = "${rule.value}/at-"
      }
      expiration {
        days = var.retention_days.report_history
      }
    }
  }

  dynamic "rule" {
    for_each = var.retention_days.letters == null ? [] : [var.retention_days.letters]
    content {
      id     = "letters"
      status = "Enabled"

      filter {
        prefix = "dlq/"
      }
      expiration {
        days = rule.value
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.data]
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.data.arn, "${aws_s3_bucket.data.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "NoOldTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.data.arn, "${aws_s3_bucket.data.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "NumericLessThan"
      variable = "s3:TlsVersion"
      values   = ["1.2"]
    }
  }
}

resource "aws_s3_bucket_policy" "data" {
  bucket = aws_s3_bucket.data.id
  policy = data.aws_iam_policy_document.bucket.json

  depends_on = [aws_s3_bucket_public_access_block.data]
}
