locals {
  images = var.repositories == null ? [] : concat(keys(local.services), ["cdc"])
}

resource "aws_ecr_repository" "image" {
  for_each = toset(local.images)

  name                 = "${var.repositories}/${each.key}"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

# A release has a tag that begins with `v`, and stays. Of what else is built, the newest.
resource "aws_ecr_lifecycle_policy" "image" {
  for_each = toset(local.images)

  repository = aws_ecr_repository.image[each.key].name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Untagged: an upload that was given up"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Releases: the last 200, which is years"
        selection    = { tagStatus = "tagged", tagPrefixList = ["v"], countType = "imageCountMoreThan", countNumber = 200 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 3
        description  = "All else: the last 300"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 300 }
        action       = { type = "expire" }
      },
    ]
  })
}
