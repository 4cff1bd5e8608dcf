//! `terraform/` against the code: the tables that it makes, the calls that it sends, the names that it uses. The files are
//! evaluated, not searched: what counts is what would be asked of AWS. Needs neither Terraform nor an account.
#[path = "terraform/calls.rs"]
mod calls;
#[path = "terraform/hcl.rs"]
mod hcl;
#[path = "terraform/made.rs"]
mod made;

use calls::Who;
use consumers::{
    config::Service,
    handler::Handler,
    handlers::{analytics, inventory, search},
};
use hcl::{BUCKET, Json, Terraform, table_arn};
use serde_json::json;
use sinks::View;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

const SERVICES: [Service; 3] = [Service::Inventory, Service::Analytics, Service::Search];
const VARIABLES: &[(&str, &str)] = &[
    ("region", "\"eu-central-1\""),
    ("environment", "\"test\""),
    ("cluster_name", "\"cluster\""),
    ("bucket", "\"bucket\""),
    ("operators", "[\"arn:aws:iam::111122223333:role/on-call\"]"),
];

fn views(service: Service) -> Vec<View> {
    match service {
        Service::Inventory => inventory::handler(&inventory::Settings::default(), "").views(),
        Service::Analytics => analytics::handler(&analytics::Settings::default(), "").views(),
        Service::Search => search::handler(&search::Settings::default(), "").views(),
        Service::Declared(_) => Vec::new(),
    }
}
fn keyed(service: Service) -> Vec<View> {
    if service == Service::Analytics { Vec::new() } else { views(service) }
}

// ---------------------------------------------------------------- tables

/// In one form, whoever says it: names to values, lists in one order.
type Table = BTreeMap<String, Json>;

/// What the code asks DynamoDB for.
fn made() -> &'static BTreeMap<String, Table> {
    static MADE: OnceLock<BTreeMap<String, Table>> = OnceLock::new();
    MADE.get_or_init(|| {
        let notes = made::tables(SERVICES.into_iter().flat_map(keyed).collect());
        let key = |schema: &Json| {
            let parts = schema.as_array().expect("a key").iter();
            parts.map(|part| json!([part["AttributeName"], part["KeyType"]])).collect::<Vec<_>>()
        };
        let tables = notes.tables.iter().map(|(name, asked)| {
            let attributes = asked["AttributeDefinitions"].as_array().expect("attributes").iter();
            let attributes: BTreeSet<String> = attributes
                .map(|a| format!("{} {}", a["AttributeName"], a["AttributeType"]))
                .collect();
            let indexes = asked["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
            let indexes: BTreeMap<String, Json> = indexes
                .map(|index| {
                    let projection = &index["Projection"];
                    let shows = sorted(&projection["NonKeyAttributes"]);
                    let index_key = key(&index["KeySchema"]);
                    let name = index["IndexName"].as_str().expect("a name").to_owned();
                    (name, json!([index_key, projection["ProjectionType"], shows]))
                })
                .collect();
            let table = Table::from([
                ("key".to_owned(), json!(key(&asked["KeySchema"]))),
                ("billing".to_owned(), asked["BillingMode"].clone()),
                ("attributes".to_owned(), json!(attributes)),
                ("indexes".to_owned(), json!(indexes)),
                ("expiry".to_owned(), json!(notes.expiry.get(name))),
            ]);
            (name.clone(), table)
        });
        tables.collect()
    })
}

/// What Terraform would ask for.
fn planned(terraform: &Terraform) -> Result<BTreeMap<String, Table>, String> {
    let key = |hash: &Json, range: &Json| {
        let parts =
            [(hash, "HASH"), (range, "RANGE")].into_iter().filter(|(name, _)| !name.is_null());
        parts.map(|(name, kind)| json!([name, kind])).collect::<Vec<_>>()
    };
    let mut tables = BTreeMap::new();
    for (name, it) in terraform.instances("aws_dynamodb_table", "view")? {
        let blocks = |kind: &str| it[kind].as_array().cloned().unwrap_or_default();
        let attributes: BTreeSet<String> =
            blocks("attribute").iter().map(|a| format!("{} {}", a["name"], a["type"])).collect();
        let indexes: BTreeMap<String, Json> = blocks("global_secondary_index")
            .iter()
            .map(|index| {
                let shows = sorted(&index["non_key_attributes"]);
                let index_key = key(&index["hash_key"], &index["range_key"]);
                let name = index["name"].as_str().unwrap_or_default().to_owned();
                (name, json!([index_key, index["projection_type"], shows]))
            })
            .collect();
        let ttl = blocks("ttl").into_iter().find(|ttl| ttl["enabled"] == true);
        let table = Table::from([
            ("key".to_owned(), json!(key(&it["hash_key"], &it["range_key"]))),
            ("billing".to_owned(), it["billing_mode"].clone()),
            ("attributes".to_owned(), json!(attributes)),
            ("indexes".to_owned(), json!(indexes)),
            ("expiry".to_owned(), ttl.map_or(Json::Null, |ttl| ttl["attribute_name"].clone())),
        ]);
        if it["name"] != json!(name) {
            return Err(format!("table {name} is named {}", it["name"]));
        }
        if blocks("point_in_time_recovery") != [json!({ "enabled": true })] {
            return Err(format!("table {name} has no point-in-time recovery"));
        }
        if it["deletion_protection_enabled"] != true {
            return Err(format!("table {name} can be deleted"));
        }
        tables.insert(name, table);
    }
    Ok(tables)
}

fn sorted(list: &Json) -> Vec<String> {
    let mut list: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| name.as_str().unwrap_or_default().to_owned())
        .collect();
    list.sort();
    list
}

fn tables_faults(terraform: &Terraform, generations: &[u64]) -> Result<Vec<String>, String> {
    let planned = planned(terraform)?;
    let wanted: BTreeMap<String, &Table> = generations
        .iter()
        .flat_map(|n| {
            let suffix = if *n == 1 { String::new() } else { format!("-g{n}") };
            made().iter().map(move |(name, table)| (format!("{name}{suffix}"), table))
        })
        .collect();
    let mut faults = Vec::new();
    if planned.keys().ne(wanted.keys()) {
        faults.push(format!("tables {:?}, the code has {:?}", planned.keys(), wanted.keys()));
    }
    for (name, table) in &wanted {
        for (what, ours) in *table {
            let theirs = planned.get(name).map(|planned| &planned[what]);
            if theirs != Some(ours) {
                faults.push(format!("{name}: {what} is {theirs:?}, the code makes {ours}"));
            }
        }
    }
    Ok(faults)
}

// ---------------------------------------------------------------- permissions

/// An action, a resource, and the conditions on it.
type Grant = (String, String, String);

fn granted(document: &Json) -> BTreeSet<Grant> {
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let mut grants = BTreeSet::new();
    for statement in list(&document["statement"]) {
        let conditions = list(&statement["condition"]);
        let conditions: Vec<String> = conditions
            .iter()
            .map(|c| {
                format!("{} {} {:?}", text(&c["test"]), text(&c["variable"]), sorted(&c["values"]))
            })
            .collect();
        for action in list(&statement["actions"]) {
            for resource in list(&statement["resources"]) {
                grants.insert((text(&action), text(&resource), conditions.join("; ")));
            }
        }
    }
    grants
}

fn each(actions: &BTreeSet<String>, resources: &[String], condition: &str) -> BTreeSet<Grant> {
    let all = actions
        .iter()
        .flat_map(|a| resources.iter().map(move |r| (a.clone(), r.clone(), condition.to_owned())));
    all.collect()
}
fn below(prefixes: &[String]) -> Vec<String> {
    prefixes.iter().map(|prefix| format!("{BUCKET}/{prefix}/*")).collect()
}
fn tables_of(services: &[Service]) -> Vec<String> {
    let config =
        sinks::dynamodb::Config::new(1, services.iter().copied().flat_map(keyed).collect());
    config.views.iter().map(|view| table_arn(&config.table_of(view))).collect()
}
/// The actions of S3 on objects; and the one on the bucket.
fn on_objects(actions: &BTreeSet<String>) -> BTreeSet<String> {
    actions.iter().filter(|action| *action != LIST).cloned().collect()
}
const LIST: &str = "s3:ListBucket";

/// What a service's calls need.
fn needed(service: Service) -> BTreeSet<Grant> {
    let name = service.name();
    let state = calls::state_actions(&calls::sources());
    let objects = calls::actions("s3", &[Who::Service]);
    let mut puts = vec![format!("dlq/{name}")];
    if service == Service::Analytics {
        puts.push("reports".to_owned());
    }
    let states = [format!("state/{name}")];
    let mut all = each(&calls::actions("dynamodb", &[Who::Service]), &tables_of(&[service]), "");
    all.extend(each(&on_objects(&state), &below(&states), ""));
    all.extend(each(&on_objects(&objects), &below(&puts), ""));
    assert!(state.contains(LIST) && objects.contains(LIST), "both list: {state:?} {objects:?}");
    let mut prefixes: Vec<String> =
        states.iter().chain(&puts).map(|prefix| format!("{prefix}/*")).collect();
    prefixes.sort();
    // Without IfExists a missing object would be answered with 403, which halts.
    let only = format!("StringLikeIfExists s3:prefix {prefixes:?}");
    all.insert((LIST.to_owned(), BUCKET.to_owned(), only));
    all
}

/// What people's commands need, beside the role `read`.
fn needed_by_operators() -> [(&'static str, BTreeSet<Grant>); 3] {
    let tables = tables_of(&SERVICES);
    let bucket = [BUCKET.to_owned()];
    let prefix = |list: &[&str]| below(&list.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
    let dynamodb = |who| calls::actions("dynamodb", &[who]);
    let s3 = |who| calls::actions("s3", &[who]);

    let mut read = each(&dynamodb(Who::Read), &tables, "");
    let nobody = "ForAllValues:StringEquals dynamodb:LeadingKeys [\"-9223372036854775808\", \"\\u{1}cdc-doctor\"]; \
                  Null dynamodb:LeadingKeys [\"false\"]";
    let nobody = sorted_keys(nobody);
    read.extend(each(&dynamodb(Who::Try), &tables, &nobody));
    read.extend(each(&on_objects(&s3(Who::Read)), &prefix(&["state", "dlq", "reports"]), ""));
    read.extend(each(&[LIST.to_owned()].into(), &bucket, ""));
    let tried = prefix(&["state/*/.doctor", "dlq/.doctor", "reports/.doctor"]);
    read.extend(each(&on_objects(&s3(Who::Try)), &tried, ""));

    let mut repair = each(&dynamodb(Who::Repair), &tables, "");
    let put = ["s3:PutObject".to_owned()].into();
    repair.extend(each(&put, &prefix(&["reports"]), ""));
    repair.extend(each(&on_objects(&s3(Who::Repair)), &prefix(&["dlq"]), ""));

    let mut fix = each(&dynamodb(Who::Fix), &tables, "");
    fix.extend(each(&s3(Who::Fix), &bucket, ""));
    [("read", read), ("repair", repair), ("fix", fix)]
}
/// The values of a condition are compared in order.
fn sorted_keys(condition: &str) -> String {
    let mut keys = vec!["-9223372036854775808".to_owned(), "\u{1}cdc-doctor".to_owned()];
    keys.sort();
    let (head, rest) = condition.split_once('[').expect("values");
    let (_, tail) = rest.split_once(']').expect("values");
    format!("{head}{keys:?}{tail}")
}

fn difference(what: &str, has: &BTreeSet<Grant>, needs: &BTreeSet<Grant>) -> Vec<String> {
    let say = |word: &str, (action, resource, condition): &Grant| {
        format!("{what} {word} {action} on {resource} {condition}")
    };
    let more = has.difference(needs).map(|grant| say("may, and never does:", grant));
    more.chain(needs.difference(has).map(|grant| say("needs, and may not:", grant))).collect()
}

fn grants_faults(terraform: &Terraform) -> Result<Vec<String>, String> {
    let documents = terraform.instances("aws_iam_policy_document", "service")?;
    let mut faults = Vec::new();
    let names: BTreeSet<&str> = SERVICES.iter().map(|service| service.name()).collect();
    if documents.keys().map(String::as_str).ne(names.iter().copied()) {
        faults.push(format!("roles of {:?}, there are {names:?}", documents.keys()));
    }
    for service in SERVICES {
        let has = documents.get(service.name()).map(granted).unwrap_or_default();
        faults.extend(difference(service.name(), &has, &needed(service)));
    }
    for (name, needs) in needed_by_operators() {
        let document = &terraform.instances("aws_iam_policy_document", name)?[""];
        faults.extend(difference(name, &granted(document), &needs));
        let beside = if name == "read" { Json::Null } else { json!(["read"]) };
        if document["source_policy_documents"] != beside {
            faults.push(format!("{name} is made of {}", document["source_policy_documents"]));
        }
    }
    Ok(faults)
}

// ---------------------------------------------------------------- pods

fn pods_faults(terraform: &Terraform) -> Result<Vec<String>, String> {
    let mut faults = Vec::new();
    let trusted = terraform.instances("aws_iam_policy_document", "pod")?;
    for name in SERVICES.map(Service::name).into_iter().chain(["cdc"]) {
        let statements = trusted.get(name).map(|document| &document["statement"]);
        let Some([statement]) = statements.and_then(|list| list.as_array()).map(Vec::as_slice)
        else {
            faults.push(format!("who may become {name}?"));
            continue;
        };
        let conditions = statement["condition"].as_array().cloned().unwrap_or_default();
        for (tag, value) in [
            ("eks-cluster-name", "cluster"),
            ("kubernetes-namespace", "cdc-consumers"),
            ("kubernetes-service-account", name),
        ] {
            let wanted = json!({
                "test": "StringEquals", "variable": format!("aws:RequestTag/{tag}"), "values": [value],
            });
            if !conditions.contains(&wanted) {
                faults.push(format!("{name}: any {tag} may become it"));
            }
        }
    }
    Ok(faults)
}

/// The service accounts that get a role: known only with the role's ARN, which is made up here.
fn accounts(text: &str) -> Result<BTreeSet<(String, String)>, String> {
    let text = text
        .replace("aws_iam_role.service[each.key].arn", "\"arn\"")
        .replace("aws_iam_role.cdc.arn", "\"arn\"");
    let terraform = Terraform::evaluate(&text, VARIABLES)?;
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let mut accounts = BTreeSet::new();
    for name in ["service", "cdc"] {
        for it in terraform.instances("aws_eks_pod_identity_association", name)?.values() {
            accounts.insert((text(&it["namespace"]), text(&it["service_account"])));
        }
    }
    Ok(accounts)
}

// ---------------------------------------------------------------- bucket

fn bucket_faults(terraform: &Terraform) -> Result<Vec<String>, String> {
    let rules = terraform.instances("aws_s3_bucket_lifecycle_configuration", "data")?;
    let rules = rules[""]["rule"].as_array().cloned().unwrap_or_default();
    let mut faults = Vec::new();
    let mut reports: BTreeSet<String> = views(Service::Analytics)
        .iter()
        .filter(|view| view.is_totals())
        .map(|view| view.name.to_owned())
        .collect();
    reports.insert("summary".to_owned());
    let history = |report: &String| format!("reports/{report}/at-");
    let mut missing: BTreeSet<String> = reports.iter().map(history).collect();
    for rule in &rules {
        let id = rule["id"].as_str().unwrap_or_default();
        let prefix = rule["filter"][0]["prefix"].as_str().unwrap_or_default();
        if rule["status"] != "Enabled" {
            faults.push(format!("{id} is off"));
        }
        // Only these may go while they are current.
        let expires = !rule["expiration"][0]["days"].is_null();
        if expires && prefix != "dlq/" && !missing.remove(prefix) {
            faults.push(format!("{id} removes what is current below {prefix:?}"));
        }
    }
    faults.extend(missing.iter().map(|prefix| format!("{prefix} is kept for good")));
    let gives_up = |rule: &Json| {
        rule["filter"] == json!([{}])
            && !rule["abort_incomplete_multipart_upload"][0]["days_after_initiation"].is_null()
    };
    if !rules.iter().any(gives_up) {
        faults.push("uploads that were given up stay".to_owned());
    }
    for prefix in ["state/", "dlq/", "reports/"] {
        let ends = |rule: &Json| {
            rule["filter"][0]["prefix"] == prefix
                && !rule["noncurrent_version_expiration"][0]["noncurrent_days"].is_null()
        };
        if !rules.iter().any(ends) {
            faults.push(format!("old versions below {prefix} stay for good"));
        }
    }
    Ok(faults)
}

// ---------------------------------------------------------------- all of it

fn faults(text: &str) -> Result<Vec<String>, String> {
    let terraform = Terraform::evaluate(text, VARIABLES)?;
    let mut faults = tables_faults(&terraform, &[1])?;
    faults.extend(grants_faults(&terraform)?);
    faults.extend(pods_faults(&terraform)?);
    faults.extend(bucket_faults(&terraform)?);
    let ours = SERVICES.map(Service::name).into_iter().chain(["cdc"]);
    let accounts = accounts(text)?;
    if accounts != ours.map(|name| ("cdc-consumers".to_owned(), name.to_owned())).collect() {
        faults.push(format!("service accounts {accounts:?}"));
    }
    Ok(faults)
}

#[test]
fn terraform_makes_what_the_code_needs_and_allows_what_it_calls() {
    assert_eq!(faults(&hcl::read()).expect("it can be evaluated"), [""; 0]);
}

#[test]
fn every_call_in_the_sources_is_known() {
    assert_eq!(calls::faults(&calls::sources()), [""; 0]);
}

#[test]
fn service_accounts_are_those_of_the_manifests() {
    let folder = calls::root().join("k8s/service-accounts");
    let Ok(files) = std::fs::read_dir(&folder) else {
        let said = b"left out: there is no k8s/service-accounts\n";
        std::io::Write::write_all(&mut std::io::stderr(), said).expect("stderr");
        return;
    };
    let mut found = BTreeSet::new();
    for file in files {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        for document in text.split("\n---") {
            if document.lines().any(|line| line.trim_end() == "kind: ServiceAccount") {
                let names = document.lines().filter_map(|line| line.strip_prefix("  name: "));
                found.extend(names.map(|name| name.trim().trim_matches('"').to_owned()));
            }
        }
    }
    let ours = accounts(&hcl::read()).expect("it can be evaluated");
    let ours: BTreeSet<String> = ours.into_iter().map(|(_, name)| name).collect();
    assert_eq!(found, ours, "service accounts in the manifests, and those that have a role");
}

/// `terraform/environments/NAME.tfvars` and `k8s/overlays/NAME` are two halves of one deployment.
#[test]
fn an_environment_is_what_its_overlay_is_set_to() {
    let read = |path: String| std::fs::read_to_string(calls::root().join(path)).expect("a file");
    for environment in ["dev", "prod"] {
        let text = read(format!("terraform/environments/{environment}.tfvars"));
        let set: Json = ::hcl::from_str(&text).expect("HCL");
        let given = |name: &str| set[name].as_str().unwrap_or_default().to_owned();
        let (bucket, prefix) = (given("bucket"), given("table_prefix"));
        let expected = [
            ("all", "AWS_REGION", given("region")),
            ("all", "S3_BUCKET", bucket.clone()),
            ("all", "DLQ", format!("s3://{bucket}/dlq")),
            ("inventory-service", "DYNAMODB_TABLE", format!("{prefix}inventory-realtime")),
            ("search-indexer", "DYNAMODB_TABLE", format!("{prefix}product-search-index")),
            ("search-indexer", "DYNAMODB_TOKENS_TABLE", format!("{prefix}product-search-tokens")),
        ];
        for (file, name, value) in expected {
            let path = format!("k8s/overlays/{environment}/{file}.env");
            let line = format!("{name}={value}");
            assert!(read(path.clone()).lines().any(|l| l == line), "{path}: no line {line}");
        }
    }
}

#[test]
fn a_new_generation_gets_tables_and_reports_of_its_own() {
    let set: Vec<_> = VARIABLES.iter().copied().chain([("generations", "[1, 2]")]).collect();
    let terraform = Terraform::evaluate(&hcl::read(), &set).expect("it can be evaluated");
    assert_eq!(tables_faults(&terraform, &[1, 2]).expect("tables"), [""; 0]);
    let documents = terraform.instances("aws_iam_policy_document", "service").expect("roles");
    let has = granted(&documents["inventory-service"]);
    for table in ["inventory-realtime", "inventory-realtime-g2"] {
        assert!(
            has.contains(&("dynamodb:PutItem".to_owned(), table_arn(table), String::new())),
            "{table}: {has:?}"
        );
    }
    let rules =
        terraform.instances("aws_s3_bucket_lifecycle_configuration", "data").expect("rules");
    assert!(rules[""].to_string().contains("\"reports/g2/daily_sales/at-\""));
}

#[test]
fn a_key_of_ones_own_may_be_used_through_s3_only() {
    let key = ("bucket_kms_key_arn", "\"arn:aws:kms:eu-central-1:111122223333:key/k\"");
    let set: Vec<_> = VARIABLES.iter().copied().chain([key]).collect();
    let terraform = Terraform::evaluate(&hcl::read(), &set).expect("it can be evaluated");
    let actions = ["kms:Decrypt", "kms:GenerateDataKey"].map(str::to_owned).into();
    let resource = ["arn:aws:kms:eu-central-1:111122223333:key/k".to_owned()];
    let through = "StringEquals kms:ViaService [\"s3.eu-central-1.amazonaws.com\"]";
    let documents = terraform.instances("aws_iam_policy_document", "service").expect("roles");
    for service in SERVICES {
        let mut needs = needed(service);
        needs.extend(each(&actions, &resource, through));
        assert_eq!(difference("", &granted(&documents[service.name()]), &needs), [""; 0]);
    }
}

/// Each of these is a mistake that somebody could make.
#[test]
fn what_is_wrong_is_found() {
    let text = hcl::read();
    for (right, wrong, says) in [
        ("inventory-realtime = {\n      service", "inventory = {\n      service", "tables"),
        ("range_key  = \"product_id\"", "range_key  = null", "product-search-tokens: key"),
        (
            "product_id = \"N\", low_stock = \"N\"",
            "product_id = \"S\", low_stock = \"N\"",
            "attributes",
        ),
        ("hash_key  = \"catalog\"", "hash_key  = \"category\"", "product-search-index: indexes"),
        (
            "\"base_stock\", \"sold\", \"updated_at\"",
            "\"base_stock\", \"sold\"",
            "inventory-realtime: indexes",
        ),
        ("projection_type    = \"INCLUDE\"", "projection_type    = \"KEYS_ONLY\"", "indexes"),
        ("attribute_name = ttl.value", "attribute_name = \"expires\"", "expiry"),
        (
            "billing_mode                = \"PAY_PER_REQUEST\"",
            "billing_mode                = \"PROVISIONED\"",
            "billing",
        ),
        (
            "actions   = [\"dynamodb:PutItem\", \"dynamodb:UpdateItem\"]",
            "actions   = [\"dynamodb:*\"]",
            "may, and never does: dynamodb:*",
        ),
        (
            "\"dynamodb:UpdateItem\"]",
            "\"dynamodb:UpdateItem\", \"dynamodb:DeleteItem\"]",
            "may, and never does: dynamodb:DeleteItem",
        ),
        ("if view.service == statement.value", "", "may, and never does: dynamodb:PutItem"),
        ("/state/${each.key}/*", "/state/*", "may, and never does: s3:GetObject"),
        (
            "\"s3:DeleteObject\", \"s3:AbortMultipartUpload\"",
            "\"s3:DeleteObject\"",
            "needs, and may not: s3:AbortMultipartUpload",
        ),
        (
            "actions   = [\"s3:GetObject\", \"s3:PutObject\"]",
            "actions   = [\"s3:PutObject\"]",
            "needs, and may not: s3:GetObject",
        ),
        ("StringLikeIfExists", "StringLike", "needs, and may not: s3:ListBucket"),
        (
            "puts = [\"dlq/search-indexer\"]",
            "puts = [\"dlq\"]",
            "search-indexer may, and never does",
        ),
        ("search-indexer    = {", "search-service    = {", "roles of"),
        ("service_account = each.key", "service_account = \"default\"", "service accounts"),
        (
            "aws:RequestTag/kubernetes-namespace",
            "aws:RequestTag/namespace",
            "any kubernetes-namespace",
        ),
        ("\"\\u0001cdc-doctor\"", "\"cdc-doctor\"", "read needs, and may not"),
        ("\"order_status\", ", "", "reports/order_status/at- is kept"),
        ("/at-\"", "/\"", "removes what is current"),
        ("noncurrent_days = var.retention_days.replaced_state", "", "old versions below state/"),
        ("expired_object_delete_marker = true", "days = 90", "removes what is current below \"\""),
    ] {
        let broken = text.replacen(right, wrong, 1);
        assert_ne!(broken, text, "{right:?} is not in terraform/");
        let found = faults(&broken).unwrap_or_else(|why| vec![why]);
        assert!(
            found.iter().any(|fault| fault.contains(says)),
            "{wrong:?}: {says:?} is not in {found:#?}"
        );
    }
}

#[test]
fn a_new_call_is_found() {
    let mut sources = calls::sources();
    let wire = sources.get_mut("sinks/src/dynamodb/wire.rs").expect("it is there");
    wire.push_str(
        "async fn more(client: &Client) { client\n.delete_item()\n.table_name(t).send().await; }",
    );
    let bucket = sources.get_mut("sinks/src/objects/s3/bucket.rs").expect("it is there");
    bucket.push_str("async fn more(other: &Client) { other.delete_bucket().send().await; }");
    sources.insert("sinks/src/reports.rs".to_owned(), "self.objects.delete(name)".to_owned());
    let found = calls::faults(&sources).join("\n");
    for part in [
        "wire.rs calls delete_item, which is not",
        "bucket.rs: 4 requests are sent, 3 are known",
        "are deleted in",
    ] {
        assert!(found.contains(part), "{part:?} is not in {found}");
    }
}
