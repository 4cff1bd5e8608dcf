locals {
  # The tables as the views need them. The code makes the same ones (`cdc doctor --fix`, sinks/src/dynamodb/tables.rs);
  # consumers/tests/terraform.rs holds both against each other.
  views = {
    inventory-realtime = {
      service    = "inventory-service"
      attributes = { product_id = "N", low_stock = "N", stock_quantity = "N" }
      hash_key   = "product_id"
      range_key  = null
      expiry     = null
      indexes = {
        low-stock-index = {
          hash_key  = "low_stock"
          range_key = "stock_quantity"
          shows     = ["name", "price", "base_stock", "sold", "updated_at"]
        }
      }
    }
    product-search-index = {
      service    = "search-indexer"
      attributes = { product_id = "N", name_lower = "S", catalog = "S", price = "N" }
      hash_key   = "product_id"
      range_key  = null
      expiry     = "expires_at"
      indexes = {
        name-index = {
          hash_key  = "name_lower"
          range_key = null
          shows     = ["name", "description", "price", "category"]
        }
        price-index = {
          hash_key  = "catalog"
          range_key = "price"
          shows     = ["name", "description", "category"]
        }
      }
    }
    product-search-tokens = {
      service    = "search-indexer"
      attributes = { token = "S", product_id = "N" }
      hash_key   = "token"
      range_key  = "product_id"
      expiry     = "expires_at"
      indexes    = {}
    }
  }

  tables = merge([
    for generation in var.generations : {
      for name, view in local.views : "${var.table_prefix}${name}${generation == 1 ? "" : "-g${generation}"}" => view
    }
  ]...)
}

resource "aws_dynamodb_table" "view" {
  for_each = local.tables

  name                        = each.key
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.hash_key
  range_key                   = each.value.range_key
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = each.value.attributes
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = each.value.indexes
    content {
      name               = global_secondary_index.key
      hash_key           = global_secondary_index.value.hash_key
      range_key          = global_secondary_index.value.range_key
      projection_type    = "INCLUDE"
      non_key_attributes = global_secondary_index.value.shows
    }
  }

  # What is left of deleted rows.
  dynamic "ttl" {
    for_each = each.value.expiry == null ? [] : [each.value.expiry]
    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }

  # Restored alone, a table is behind its state: see CONSUMER_DEPLOYMENT.md, "A new generation".
  point_in_time_recovery {
    enabled = true
  }
}
