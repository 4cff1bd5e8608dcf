terraform {
  required_version = ">= 1.10"

  # Where this state lies is said at `init`: see README.md.
  backend "s3" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ project = "cdc-consumers", environment = var.environment }, var.tags)
  }
}
