region       = "eu-central-1"
environment  = "dev"
cluster_name = "dev"
bucket       = "cdc-platform-data-lake-dev"

# Beside others in one account. The tables are called so in k8s/overlays/dev/*.env too.
table_prefix = "dev-"
repositories = null

# Comes and goes.
deletion_protection = false
retention_days = {
  report_history   = 30
  letters          = 30
  replaced_reports = 7
  replaced_letters = 7
  replaced_state   = 1
}
