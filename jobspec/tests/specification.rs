//! The specification, block by block: what is written and what it becomes.
//!
//! The reference's samples show whole jobs; these rows show one rule each, in the same comparison: null equals an
//! absent key and an empty list or object, everything else is compared as it is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rove_jobspec::{Format, ParseOptions, convert::convert, parse_hcl, parse_json, parse_yaml};
use rove_model::job::Job;
use serde_json::{Value, json};

/// Where the text of a row stands, and where what it becomes is found.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the job block.
    Job,
    /// In a job block without a group of its own.
    Bare,
    /// In the group block.
    Group,
    /// In the task block.
    Task,
    /// In a service of the group.
    Service,
    /// In a check of that service.
    Check,
    /// In the resources of the task.
    Resources,
    /// In a template of the task.
    Template,
    /// In the proxy of a sidecar.
    Proxy,
    /// In a gateway.
    Gateway,
}

impl Place {
    fn file(self, text: &str) -> String {
        let group = |body: &str| {
            format!(
                "job \"j\" {{\n group \"g\" {{\n{body}\n task \"t\" {{\n driver = \"d\"\n }}\n }}\n}}"
            )
        };
        let task = |body: &str| {
            format!(
                "job \"j\" {{\n group \"g\" {{\n task \"t\" {{\n driver = \"d\"\n{body}\n }}\n }}\n}}"
            )
        };
        match self {
            Self::Job => format!(
                "job \"j\" {{\n{text}\n group \"g\" {{\n task \"t\" {{\n driver = \"d\"\n }}\n }}\n}}"
            ),
            Self::Bare => format!("job \"j\" {{\n{text}\n}}"),
            Self::Group => group(text),
            Self::Task => task(text),
            Self::Service => group(&format!("service {{\n{text}\n}}")),
            Self::Check => group(&format!(
                "service {{\n name = \"s\"\n check {{\n{text}\n}}\n}}"
            )),
            Self::Resources => task(&format!("resources {{\n{text}\n}}")),
            Self::Template => task(&format!("template {{\n{text}\n}}")),
            Self::Proxy => group(&format!(
                "service {{\n connect {{\n sidecar_service {{\n proxy {{\n{text}\n}}\n}}\n}}\n}}"
            )),
            Self::Gateway => group(&format!(
                "service {{\n connect {{\n gateway {{\n{text}\n}}\n}}\n}}"
            )),
        }
    }

    fn pointer(self) -> &'static str {
        match self {
            Self::Job | Self::Bare => "",
            Self::Group => "/TaskGroups/0",
            Self::Task => "/TaskGroups/0/Tasks/0",
            Self::Service => "/TaskGroups/0/Services/0",
            Self::Check => "/TaskGroups/0/Services/0/Checks/0",
            Self::Resources => "/TaskGroups/0/Tasks/0/Resources",
            Self::Template => "/TaskGroups/0/Tasks/0/Templates/0",
            Self::Proxy => "/TaskGroups/0/Services/0/Connect/SidecarService/Proxy",
            Self::Gateway => "/TaskGroups/0/Services/0/Connect/Gateway",
        }
    }
}

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// A rule, where its text stands, the text, and what must be found there. A list must have the same length.
fn rows() -> Vec<(&'static str, Place, &'static str, Value)> {
    use Place::{Bare, Check, Gateway, Group, Job, Proxy, Resources, Service, Task, Template};
    let mut rows = vec![
        // Job.
        (
            "a job's defaults",
            Job,
            "",
            json!({
            "Region": "global", "Namespace": "default", "ID": "j", "Name": "j", "Type": "service", "Priority": 50,
            "AllAtOnce": false, "NodePool": "", "Datacenters": null, "Stop": false, "ConsulToken": "",
            "Update": {"MaxParallel": 1, "Stagger": 30 * SECOND, "HealthCheck": "checks", "MinHealthyTime": 10 * SECOND,
                "HealthyDeadline": 5 * MINUTE, "ProgressDeadline": 10 * MINUTE, "Canary": 0, "AutoRevert": false,
                "AutoPromote": false}}),
        ),
        (
            "id and name apart from the label",
            Job,
            "id = \"other\"\nname = \"shown\"",
            json!({"ID": "other", "Name": "shown"}),
        ),
        (
            "whole job fields",
            Job,
            "region = \"r\"\nnamespace = \"n\"\ntype = \"batch\"\npriority = \"70\"\nall_at_once = \"true\"\nnode_pool = \"gpu\"\nconsul_token = \"c\"\nvault_token = \"v\"",
            json!({"Region": "r", "Namespace": "n", "Type": "batch", "Priority": 70, "AllAtOnce": true,
                "NodePool": "gpu", "ConsulToken": "c", "VaultToken": "v", "Update": null}),
        ),
        (
            "null says nothing",
            Job,
            "priority = null\nregion = null\nmeta = null",
            json!({"Priority": 50, "Region": "global", "Meta": null}),
        ),
        (
            "numbers and bools are texts where texts are wanted",
            Job,
            "meta {\n a = 1\n b = true\n c = 2.5\n d = \"\"\n}",
            json!({"Meta": {"a": "1", "b": "true", "c": "2.5", "d": ""}}),
        ),
        (
            "an empty update block has the defaults",
            Job,
            "update {}",
            json!({"Update": {"MaxParallel": 1, "HealthCheck": "checks"}}),
        ),
        (
            "a group merges its update into the job's",
            Job,
            "update {\n max_parallel = 4\n canary = 2\n}\ngroup \"h\" {\n update {\n canary = 0\n auto_revert = true\n }\n}",
            json!({"TaskGroups": [
                {"Name": "h", "Update": {"MaxParallel": 4, "Canary": 0, "AutoRevert": true, "Stagger": 30 * SECOND}},
                {"Name": "g", "Update": {"MaxParallel": 4, "Canary": 2, "AutoRevert": false}}]}),
        ),
        (
            "an update of zero parallel is inherited too",
            Job,
            "update {\n max_parallel = 0\n}",
            json!({"Update": {"MaxParallel": 0, "Canary": 0}, "TaskGroups": [{"Update": {"MaxParallel": 0}}]}),
        ),
        (
            "a batch job's group with an update block keeps it",
            Job,
            "type = \"batch\"\ngroup \"h\" {\n update {\n canary = 1\n }\n}",
            json!({"Update": null, "TaskGroups": [{"Update": {"Canary": 1, "MaxParallel": 1}}, {"Update": null}]}),
        ),
        (
            "a batch job",
            Job,
            "type = \"batch\"",
            json!({"TaskGroups": [{
            "Update": null, "Migrate": null,
            "RestartPolicy": {"Attempts": 3, "Interval": 24 * HOUR, "Delay": 15 * SECOND, "Mode": "fail"},
            "ReschedulePolicy": {"Attempts": 1, "Interval": 24 * HOUR, "Delay": 5 * SECOND,
                "DelayFunction": "constant", "MaxDelay": 0, "Unlimited": false}}]}),
        ),
        (
            "a service job",
            Job,
            "type = \"service\"",
            json!({"TaskGroups": [{
            "Migrate": {"MaxParallel": 1, "HealthCheck": "checks", "MinHealthyTime": 10 * SECOND,
                "HealthyDeadline": 5 * MINUTE},
            "RestartPolicy": {"Attempts": 2, "Interval": 30 * MINUTE, "Delay": 15 * SECOND, "Mode": "fail",
                "RenderTemplates": false},
            "ReschedulePolicy": {"Attempts": 0, "Interval": 0, "Delay": 30 * SECOND,
                "DelayFunction": "exponential", "MaxDelay": HOUR, "Unlimited": true}}]}),
        ),
        (
            "a system job is not rescheduled",
            Job,
            "type = \"system\"",
            json!({"Update": null, "TaskGroups": [{
            "Migrate": null, "ReschedulePolicy": null, "RestartPolicy": {"Attempts": 2, "Interval": 30 * MINUTE}}]}),
        ),
        (
            "a sysbatch job has a policy of zeros",
            Job,
            "type = \"sysbatch\"",
            json!({"TaskGroups": [{
            "Migrate": null, "RestartPolicy": {"Attempts": 3, "Interval": 24 * HOUR},
            "ReschedulePolicy": {"Attempts": 0, "Interval": 0, "Delay": 0, "DelayFunction": "", "MaxDelay": 0,
                "Unlimited": false}}]}),
        ),
        (
            "an unknown type has a batch job's restarts and no reschedules",
            Job,
            "type = \"mystery\"",
            json!({"TaskGroups": [{"RestartPolicy": {"Attempts": 3}, "ReschedulePolicy": {"Unlimited": false, "Delay": 0}}]}),
        ),
        (
            "reschedule of the job goes into groups; the job's stays as written",
            Job,
            "reschedule {\n attempts = 3\n unlimited = false\n}\ngroup \"h\" {\n reschedule {\n interval = \"1h\"\n }\n}",
            json!({"Reschedule": {"Attempts": 3, "Unlimited": false, "Delay": null},
                "TaskGroups": [
                    {"ReschedulePolicy": {"Attempts": 3, "Unlimited": false, "Interval": HOUR, "Delay": 30 * SECOND}},
                    {"ReschedulePolicy": {"Attempts": 3, "Unlimited": false, "Interval": 0}}]}),
        ),
        (
            "migrate of the job goes into groups",
            Job,
            "migrate {\n max_parallel = 3\n}",
            json!({"Migrate": {"MaxParallel": 3, "HealthCheck": null},
                "TaskGroups": [{"Migrate": {"MaxParallel": 3, "HealthCheck": "checks"}}]}),
        ),
        (
            "periodic with its defaults",
            Job,
            "type = \"batch\"\nperiodic {\n cron = \"@daily\"\n}",
            json!({"Periodic": {"Enabled": true, "Spec": "@daily", "Specs": null, "SpecType": "cron",
                "ProhibitOverlap": false, "TimeZone": "UTC"}}),
        ),
        (
            "periodic in full",
            Job,
            "periodic {\n crons = [\"@daily\", \"5 * * * *\"]\n enabled = false\n prohibit_overlap = true\n time_zone = \"Europe/Berlin\"\n}",
            json!({"Periodic": {"Enabled": false, "Spec": "", "Specs": ["@daily", "5 * * * *"],
                "ProhibitOverlap": true, "TimeZone": "Europe/Berlin"}}),
        ),
        (
            "parameterized is completed at registration",
            Job,
            "parameterized {}",
            json!({"ParameterizedJob": {"Payload": "", "MetaRequired": null, "MetaOptional": null}}),
        ),
        (
            "multiregion with its defaults",
            Job,
            "multiregion {\n region \"west\" {\n datacenters = [\"w1\"]\n }\n region \"east\" {\n count = 3\n node_pool = \"p\"\n meta {\n a = \"b\"\n }\n }\n}",
            json!({"Multiregion": {"Strategy": {"MaxParallel": 0, "OnFailure": ""}, "Regions": [
                {"Name": "west", "Count": 1, "Datacenters": ["w1"], "NodePool": ""},
                {"Name": "east", "Count": 3, "Datacenters": null, "NodePool": "p", "Meta": {"a": "b"}}]}}),
        ),
        (
            "multiregion's strategy",
            Job,
            "multiregion {\n strategy {\n max_parallel = 1\n on_failure = \"fail_all\"\n }\n region \"a\" {}\n}",
            json!({"Multiregion": {"Strategy": {"MaxParallel": 1, "OnFailure": "fail_all"}}}),
        ),
        (
            "a task under the job comes in a group of its name, before the others",
            Bare,
            "group \"g\" {\n task \"a\" {\n driver = \"x\"\n }\n}\ntask \"solo\" {\n driver = \"x\"\n}",
            json!({"TaskGroups": [{"Name": "solo", "Count": 1, "Tasks": [{"Name": "solo"}]}, {"Name": "g"}]}),
        ),
        (
            "vault of the job goes into tasks without one",
            Bare,
            "vault {\n policies = [\"p\"]\n}\ngroup \"g\" {\n task \"a\" {\n driver = \"x\"\n }\n task \"b\" {\n driver = \"x\"\n vault {\n policies = [\"q\"]\n env = false\n }\n }\n}",
            json!({"TaskGroups": [{"Tasks": [
                {"Vault": {"Policies": ["p"], "Env": true, "DisableFile": false, "Namespace": "",
                    "ChangeMode": "restart", "ChangeSignal": "SIGHUP"}},
                {"Vault": {"Policies": ["q"], "Env": false}}]}]}),
        ),
        // Constraints, affinities, spreads.
        (
            "a constraint's default operator",
            Job,
            "constraint {\n attribute = \"${attr.kernel.name}\"\n value = \"linux\"\n}",
            json!({"Constraints": [{"LTarget": "${attr.kernel.name}", "RTarget": "linux", "Operand": "="}]}),
        ),
        (
            "short forms of constraints",
            Job,
            "constraint {\n attribute = \"a\"\n version = \">= 1\"\n}\nconstraint {\n attribute = \"a\"\n semver = \">= 1\"\n}\nconstraint {\n attribute = \"a\"\n regexp = \"x\"\n}\nconstraint {\n attribute = \"a\"\n set_contains = \"x,y\"\n}",
            json!({"Constraints": [
                {"Operand": "version", "RTarget": ">= 1"}, {"Operand": "semver", "RTarget": ">= 1"},
                {"Operand": "regexp", "RTarget": "x"}, {"Operand": "set_contains", "RTarget": "x,y"}]}),
        ),
        (
            "distinct hosts and distinct properties",
            Job,
            "constraint {\n distinct_hosts = true\n}\nconstraint {\n distinct_hosts = false\n}\nconstraint {\n distinct_property = \"${meta.rack}\"\n value = 3\n}",
            json!({"Constraints": [
                {"LTarget": "", "RTarget": "true", "Operand": "distinct_hosts"},
                {"LTarget": "", "RTarget": "false", "Operand": "distinct_hosts"},
                {"LTarget": "${meta.rack}", "RTarget": "3", "Operand": "distinct_property"}]}),
        ),
        (
            "an empty short form says nothing",
            Job,
            "constraint {\n attribute = \"a\"\n value = \"b\"\n regexp = \"\"\n}",
            json!({"Constraints": [{"Operand": "=", "RTarget": "b"}]}),
        ),
        (
            "is_set has no value",
            Group,
            "constraint {\n attribute = \"${meta.x}\"\n operator = \"is_set\"\n}",
            json!({"Constraints": [{"LTarget": "${meta.x}", "RTarget": "", "Operand": "is_set"}]}),
        ),
        (
            "an affinity's weight is 50 by default and may be negative",
            Group,
            "affinity {\n attribute = \"a\"\n value = \"b\"\n}\naffinity {\n attribute = \"a\"\n set_contains_any = \"x\"\n weight = -20\n}",
            json!({"Affinities": [{"Operand": "=", "Weight": 50}, {"Operand": "set_contains_any", "Weight": -20}]}),
        ),
        (
            "a spread's weight is 50 by default",
            Group,
            "spread {\n attribute = \"${node.datacenter}\"\n}\nspread {\n attribute = \"a\"\n weight = 10\n target \"x\" {\n percent = 70\n }\n target \"y\" {}\n}",
            json!({"Spreads": [{"Weight": 50, "SpreadTarget": null},
                {"Weight": 10, "SpreadTarget": [{"Value": "x", "Percent": 70}, {"Value": "y", "Percent": 0}]}]}),
        ),
        // Group.
        (
            "a group's defaults",
            Group,
            "",
            json!({
            "Name": "g", "Count": 1, "EphemeralDisk": {"Sticky": false, "Migrate": false, "SizeMB": 300},
            "Consul": {"Namespace": ""}, "ShutdownDelay": null, "StopAfterClientDisconnect": null,
            "MaxClientDisconnect": null, "Scaling": null, "Networks": null}),
        ),
        (
            "zero count stays zero",
            Group,
            "count = 0",
            json!({"Count": 0}),
        ),
        (
            "durations of a group, as texts and as numbers",
            Group,
            "shutdown_delay = \"0s\"\nstop_after_client_disconnect = \"1m30s\"\nmax_client_disconnect = 5000000000",
            json!({"ShutdownDelay": 0, "StopAfterClientDisconnect": 90 * SECOND, "MaxClientDisconnect": 5 * SECOND}),
        ),
        (
            "a disk with one field",
            Group,
            "ephemeral_disk {\n size = 10\n}",
            json!({"EphemeralDisk": {"Sticky": false, "Migrate": false, "SizeMB": 10}}),
        ),
        (
            "consul of a group",
            Group,
            "consul {\n namespace = \"team\"\n}",
            json!({"Consul": {"Namespace": "team"}}),
        ),
        (
            "restart in full",
            Group,
            "restart {\n attempts = 0\n interval = \"10m\"\n delay = \"1s\"\n mode = \"delay\"\n render_templates = true\n}",
            json!({"RestartPolicy": {"Attempts": 0, "Interval": 10 * MINUTE, "Delay": SECOND, "Mode": "delay", "RenderTemplates": true}}),
        ),
        (
            "scaling's type, minimum and switch",
            Group,
            "count = 2\nscaling {\n max = 5\n}",
            json!({"Count": 2, "Scaling": {"Min": 2, "Max": 5, "Enabled": true, "Type": "horizontal", "Policy": null, "ID": "", "Target": null}}),
        ),
        (
            "scaling's minimum is the count where that isn't given",
            Group,
            "scaling {\n min = 4\n max = 9\n enabled = false\n}",
            json!({"Count": 4, "Scaling": {"Min": 4, "Max": 9, "Enabled": false}}),
        ),
        (
            "a volume of the host",
            Group,
            "volume \"v\" {\n type = \"host\"\n source = \"s\"\n}",
            json!({"Volumes": {"v": {"Name": "v", "Type": "host", "Source": "s", "ReadOnly": false, "AccessMode": "",
                "AttachmentMode": "", "MountOptions": null, "PerAlloc": false}}}),
        ),
        // Networks.
        (
            "a network in full",
            Group,
            "network {\n mode = \"bridge\"\n hostname = \"h\"\n mbits = 20\n dns {\n servers = [\"1.1.1.1\"]\n searches = [\"s\"]\n options = [\"ndots:2\"]\n }\n port \"a\" {}\n port \"b\" {\n static = 80\n }\n port \"c\" {\n to = -1\n host_network = \"pub\"\n }\n}",
            json!({"Networks": [{"Mode": "bridge", "Hostname": "h", "MBits": 20, "Device": "", "CIDR": "", "IP": "",
                "DNS": {"Servers": ["1.1.1.1"], "Searches": ["s"], "Options": ["ndots:2"]},
                "ReservedPorts": [{"Label": "b", "Value": 80, "To": 0, "HostNetwork": ""}],
                "DynamicPorts": [{"Label": "a", "Value": 0, "To": 0, "HostNetwork": ""},
                    {"Label": "c", "Value": 0, "To": -1, "HostNetwork": "pub"}]}]}),
        ),
        (
            "an empty network is one",
            Group,
            "network {}",
            json!({"Networks": [{"Mode": "", "MBits": null, "DNS": null}]}),
        ),
        (
            "a port's number may be a text",
            Group,
            "network {\n port \"a\" {\n static = \"8080\"\n to = \"80\"\n }\n}",
            json!({"Networks": [{"ReservedPorts": [{"Label": "a", "Value": 8080, "To": 80}], "DynamicPorts": null}]}),
        ),
        (
            "a number below zero is none of the set ones",
            Group,
            "network {\n port \"a\" {\n static = -5\n }\n}",
            json!({"Networks": [{"ReservedPorts": null, "DynamicPorts": [{"Label": "a", "Value": -5}]}]}),
        ),
        // Services.
        (
            "a service's defaults",
            Service,
            "",
            json!({
            "Name": "j-g", "Provider": "consul", "AddressMode": "auto", "OnUpdate": "require_healthy", "PortLabel": "",
            "EnableTagOverride": false, "Address": "", "TaskName": "", "Tags": null, "Checks": null, "Connect": null}),
        ),
        (
            "a service is named for the name of the job",
            Job,
            "name = \"shown\"\ngroup \"h\" {\n service {}\n task \"t\" {\n driver = \"d\"\n service {}\n }\n}",
            json!({"TaskGroups": [{"Services": [{"Name": "shown-h"}], "Tasks": [{"Services": [{"Name": "shown-h-t"}]}]}, {"Name": "g"}]}),
        ),
        (
            "a service's port may be a number",
            Service,
            "port = 80",
            json!({"PortLabel": "80"}),
        ),
        (
            "a service in full",
            Service,
            "name = \"s\"\nprovider = \"nomad\"\nport = \"p\"\ntags = [\"a\", 1]\ncanary_tags = [\"b\"]\nenable_tag_override = true\naddress_mode = \"auto\"\naddress = \"10.0.0.1\"\ntask = \"t\"\non_update = \"ignore\"\nmeta {\n k = 1\n}\ncanary_meta {\n k = 2\n}\ntagged_addresses {\n wan = \"1.2.3.4\"\n}",
            json!({"Name": "s", "Provider": "nomad", "PortLabel": "p", "Tags": ["a", "1"], "CanaryTags": ["b"],
                "EnableTagOverride": true, "Address": "10.0.0.1", "TaskName": "t", "OnUpdate": "ignore",
                "Meta": {"k": "1"}, "CanaryMeta": {"k": "2"}, "TaggedAddresses": {"wan": "1.2.3.4"}}),
        ),
        (
            "checks have what their service says of restarts and updates",
            Service,
            "on_update = \"ignore_warnings\"\ncheck_restart {\n limit = 3\n ignore_warnings = true\n}\ncheck {\n type = \"tcp\"\n}\ncheck {\n on_update = \"ignore\"\n check_restart {\n limit = 5\n grace = \"9s\"\n }\n}",
            json!({"CheckRestart": {"Limit": 3, "Grace": null, "IgnoreWarnings": true}, "Checks": [
                {"OnUpdate": "ignore_warnings", "CheckRestart": {"Limit": 3, "Grace": SECOND, "IgnoreWarnings": true}},
                {"OnUpdate": "ignore", "CheckRestart": {"Limit": 5, "Grace": 9 * SECOND, "IgnoreWarnings": true}}]}),
        ),
        (
            "a check's defaults",
            Check,
            "type = \"http\"",
            json!({
            "Name": "", "Type": "http", "Path": "", "Interval": 0, "Timeout": 0, "Method": "", "Body": "",
            "InitialStatus": "", "AddressMode": "", "PortLabel": "", "TaskName": "", "CheckRestart": null,
            "SuccessBeforePassing": 0, "FailuresBeforeCritical": 0, "OnUpdate": "require_healthy"}),
        ),
        (
            "counts below zero are zero",
            Check,
            "success_before_passing = -1\nfailures_before_critical = -2",
            json!({"SuccessBeforePassing": 0, "FailuresBeforeCritical": 0}),
        ),
        (
            "a check in full",
            Check,
            "name = \"n\"\ntype = \"grpc\"\nport = 9090\nexpose = true\naddress_mode = \"host\"\ninterval = \"10s\"\ntimeout = 2000000000\ngrpc_service = \"x.Y\"\ngrpc_use_tls = true\ntls_server_name = \"tls\"\ntls_skip_verify = true\ntask = \"t\"\ninitial_status = \"passing\"\nheader {\n A = [\"1\", \"2\"]\n}",
            json!({"Name": "n", "Type": "grpc", "PortLabel": "9090", "Expose": true, "AddressMode": "host",
                "Interval": 10 * SECOND, "Timeout": 2 * SECOND, "GRPCService": "x.Y", "GRPCUseTLS": true,
                "TLSServerName": "tls", "TLSSkipVerify": true, "TaskName": "t", "InitialStatus": "passing",
                "Header": {"A": ["1", "2"]}}),
        ),
        (
            "a script check",
            Check,
            "type = \"script\"\ncommand = \"/c\"\nargs = [\"-x\", 2]",
            json!({"Command": "/c", "Args": ["-x", "2"]}),
        ),
    ];
    rows.extend([
        // Connect.
        ("native connect", Service, "connect {\n native = true\n}",
            json!({"Connect": {"Native": true, "Gateway": null, "SidecarService": null, "SidecarTask": null}})),
        ("an empty sidecar is a sidecar", Service, "connect {\n sidecar_service {}\n}",
            json!({"Connect": {"Native": false, "SidecarService": {"Port": "", "Proxy": null, "DisableDefaultTCPCheck": false}}})),
        ("a sidecar task has a task's defaults", Service, "connect {\n sidecar_service {}\n sidecar_task {}\n}",
            json!({"Connect": {"SidecarTask": {"Name": "", "Driver": "", "KillTimeout": 5 * SECOND, "ShutdownDelay": 0,
                "Resources": {"CPU": 100, "Cores": 0, "MemoryMB": 300},
                "LogConfig": {"MaxFiles": 10, "MaxFileSizeMB": 10, "Disabled": false}}}})),
        ("a sidecar task in full", Service,
            "connect {\n sidecar_service {}\n sidecar_task {\n name = \"n\"\n driver = \"docker\"\n user = \"u\"\n config {\n image = \"i\"\n }\n env {\n A = 1\n }\n meta {\n m = \"x\"\n }\n kill_timeout = \"1s\"\n shutdown_delay = \"2s\"\n kill_signal = \"SIGINT\"\n logs {\n max_files = 2\n }\n }\n}",
            json!({"Connect": {"SidecarTask": {"Name": "n", "Driver": "docker", "User": "u", "Config": {"image": "i"},
                "Env": {"A": "1"}, "Meta": {"m": "x"}, "KillTimeout": SECOND, "ShutdownDelay": 2 * SECOND,
                "KillSignal": "SIGINT", "LogConfig": {"MaxFiles": 2, "MaxFileSizeMB": 10}}}})),
        ("a proxy in full", Proxy,
            "local_service_address = \"127.0.0.2\"\nlocal_service_port = 8080\nconfig {\n protocol = \"http\"\n}\nupstreams {\n destination_name = \"db\"\n destination_namespace = \"n\"\n destination_peer = \"p\"\n destination_type = \"service\"\n local_bind_port = 5432\n local_bind_address = \"127.0.0.3\"\n local_bind_socket_path = \"/s\"\n local_bind_socket_mode = \"0600\"\n datacenter = \"dc2\"\n mesh_gateway {\n mode = \"local\"\n }\n config {\n a = 1\n }\n}\nupstreams {\n destination_name = \"c\"\n local_bind_port = 1\n}",
            json!({"LocalServiceAddress": "127.0.0.2", "LocalServicePort": 8080, "Config": {"protocol": "http"},
                "Upstreams": [
                    {"DestinationName": "db", "DestinationNamespace": "n", "DestinationPeer": "p", "DestinationType": "service",
                     "LocalBindPort": 5432, "LocalBindAddress": "127.0.0.3", "LocalBindSocketPath": "/s",
                     "LocalBindSocketMode": "0600", "Datacenter": "dc2", "MeshGateway": {"Mode": "local"}, "Config": {"a": 1}},
                    {"DestinationName": "c", "LocalBindPort": 1, "MeshGateway": null}]})),
        ("exposed paths", Proxy,
            "expose {\n path {\n path = \"/health\"\n protocol = \"http\"\n local_path_port = 8080\n listener_port = \"h\"\n }\n}",
            json!({"Expose": {"Paths": [{"Path": "/health", "Protocol": "http", "LocalPathPort": 8080, "ListenerPort": "h"}]},
                "ExposeConfig": null})),
        ("an ingress gateway", Gateway,
            "proxy {\n config {\n x = 1\n }\n}\ningress {\n tls {\n enabled = true\n tls_min_version = \"TLSv1_2\"\n tls_max_version = \"TLSv1_3\"\n cipher_suites = [\"C\"]\n }\n listener {\n port = 8080\n service {\n name = \"a\"\n }\n }\n listener {\n port = 8081\n protocol = \"http\"\n service {\n name = \"*\"\n hosts = [\"h\"]\n }\n }\n}",
            json!({"Proxy": {"ConnectTimeout": 5 * SECOND, "Config": {"x": 1}}, "Ingress": {
                "TLS": {"Enabled": true, "TLSMinVersion": "TLSv1_2", "TLSMaxVersion": "TLSv1_3", "CipherSuites": ["C"]},
                "Listeners": [
                    {"Port": 8080, "Protocol": "tcp", "Services": [{"Name": "a", "Hosts": null}]},
                    {"Port": 8081, "Protocol": "http", "Services": [{"Name": "*", "Hosts": ["h"]}]}]},
                "Terminating": null, "Mesh": null})),
        ("a gateway without a proxy block has none", Gateway, "terminating {\n service {\n name = \"a\"\n ca_file = \"c\"\n cert_file = \"d\"\n key_file = \"k\"\n sni = \"s\"\n }\n}",
            json!({"Proxy": null, "Terminating": {"Services": [{"Name": "a", "CAFile": "c", "CertFile": "d", "KeyFile": "k", "SNI": "s"}]}})),
        ("a gateway's proxy in full", Gateway,
            "mesh {}\nproxy {\n connect_timeout = \"7s\"\n envoy_gateway_bind_tagged_addresses = true\n envoy_gateway_no_default_bind = true\n envoy_dns_discovery_type = \"STRICT_DNS\"\n envoy_gateway_bind_addresses \"lan\" {\n address = \"0.0.0.0\"\n port = 20000\n }\n}",
            json!({"Proxy": {"ConnectTimeout": 7 * SECOND, "EnvoyGatewayBindTaggedAddresses": true,
                "EnvoyGatewayNoDefaultBind": true, "EnvoyDNSDiscoveryType": "STRICT_DNS",
                "EnvoyGatewayBindAddresses": {"lan": {"Name": "lan", "Address": "0.0.0.0", "Port": 20000}}}})),
        // Tasks.
        ("a task's defaults", Task, "", json!({
            "Name": "t", "Driver": "d", "User": "", "KillTimeout": 5 * SECOND, "KillSignal": "", "Leader": false,
            "ShutdownDelay": 0, "Kind": "", "Lifecycle": null, "Vault": null, "Identity": null, "Env": null,
            "Resources": {"CPU": 100, "Cores": 0, "MemoryMB": 300, "MemoryMaxMB": null, "DiskMB": null, "IOPS": null},
            "LogConfig": {"MaxFiles": 10, "MaxFileSizeMB": 10, "Disabled": false, "Enabled": null},
            "RestartPolicy": {"Attempts": 2, "Interval": 30 * MINUTE, "Delay": 15 * SECOND, "Mode": "fail"}})),
        ("a task in full", Task,
            "user = \"u\"\nleader = true\nkind = \"k\"\nkill_timeout = \"20s\"\nkill_signal = \"SIGINT\"\nshutdown_delay = \"3s\"\nlifecycle {\n hook = \"prestart\"\n sidecar = true\n}\ndispatch_payload {\n file = \"in\"\n}\nidentity {\n env = true\n}\nenv = {\n \"A.B\" = 1\n}",
            json!({"User": "u", "Leader": true, "Kind": "k", "KillTimeout": 20 * SECOND, "KillSignal": "SIGINT",
                "ShutdownDelay": 3 * SECOND, "Lifecycle": {"Hook": "prestart", "Sidecar": true},
                "DispatchPayload": {"File": "in"}, "Identity": {"Env": true, "File": false}, "Env": {"A.B": "1"}})),
        ("a lifecycle without a hook is none", Task, "lifecycle {\n sidecar = true\n}", json!({"Lifecycle": null})),
        ("a task's restart goes over its group's", Bare,
            "group \"g\" {\n restart {\n attempts = 9\n mode = \"delay\"\n }\n task \"t\" {\n driver = \"d\"\n restart {\n delay = \"1s\"\n }\n }\n}",
            json!({"TaskGroups": [{"RestartPolicy": {"Attempts": 9, "Delay": 15 * SECOND},
                "Tasks": [{"RestartPolicy": {"Attempts": 9, "Mode": "delay", "Delay": SECOND, "Interval": 30 * MINUTE}}]}]})),
        ("log fields one by one", Task, "logs {\n max_files = 3\n disabled = true\n}",
            json!({"LogConfig": {"MaxFiles": 3, "MaxFileSizeMB": 10, "Disabled": true}})),
        ("whole cores leave no share", Resources, "cores = 2", json!({"CPU": 0, "Cores": 2, "MemoryMB": 300})),
        ("cores and a share are both kept for validation", Resources, "cores = 2\ncpu = 500", json!({"CPU": 500, "Cores": 2})),
        ("zero cores leave no default share", Resources, "cores = 0", json!({"CPU": 0, "Cores": 0})),
        ("resources in full", Resources, "cpu = 20\nmemory = 30\nmemory_max = 40\ndisk = 50\niops = 6",
            json!({"CPU": 20, "MemoryMB": 30, "MemoryMaxMB": 40, "DiskMB": 50, "IOPS": 6})),
        ("a device counts one", Resources, "device \"gpu\" {\n affinity {\n attribute = \"a\"\n value = \"b\"\n }\n}",
            json!({"Devices": [{"Name": "gpu", "Count": 1, "Constraints": null, "Affinities": [{"Weight": 50, "Operand": "="}]}]})),
        ("a network of 2017", Resources, "network {\n mbits = 10\n port \"db\" {}\n port \"x\" {\n static = 1\n }\n}",
            json!({"Networks": [{"MBits": 10, "DynamicPorts": [{"Label": "db"}], "ReservedPorts": [{"Label": "x", "Value": 1}]}]})),
        ("an artifact's defaults", Task, "artifact {\n source = \"https://x.test/a/b.zip\"\n}",
            json!({"Artifacts": [{"GetterSource": "https://x.test/a/b.zip", "GetterMode": "any", "RelativeDest": "local/",
                "GetterOptions": null, "GetterHeaders": null}]})),
        ("a file's destination is named for its source", Task,
            "artifact {\n source = \"https://x.test/a/b.zip\"\n mode = \"file\"\n}\nartifact {\n source = \"https://x.test/c/\"\n mode = \"file\"\n}\nartifact {\n source = \"s\"\n mode = \"dir\"\n destination = \"\"\n}",
            json!({"Artifacts": [{"RelativeDest": "local/b.zip"}, {"RelativeDest": "local/c"}, {"RelativeDest": "", "GetterMode": "dir"}]})),
        ("a template's defaults", Template, "data = \"x\"\ndestination = \"local/x\"", json!({
            "SourcePath": "", "DestPath": "local/x", "EmbeddedTmpl": "x", "ChangeMode": "restart", "ChangeSignal": "",
            "ChangeScript": null, "Splay": 5 * SECOND, "Perms": "0644", "Uid": null, "Gid": null, "LeftDelim": "{{",
            "RightDelim": "}}", "Envvars": false, "VaultGrace": 0, "Wait": null, "ErrMissingKey": false})),
        ("a template's signal by default, and in capitals", Task,
            "template {\n change_mode = \"signal\"\n}\ntemplate {\n change_mode = \"signal\"\n change_signal = \"sigusr1\"\n}",
            json!({"Templates": [{"ChangeSignal": "SIGHUP"}, {"ChangeSignal": "SIGUSR1"}]})),
        ("a change script's defaults", Template, "change_mode = \"script\"\nchange_script {\n command = \"/c\"\n}",
            json!({"ChangeScript": {"Command": "/c", "Args": null, "Timeout": 5 * SECOND, "FailOnError": false}})),
        ("half a wait", Template, "wait {\n min = \"4s\"\n}", json!({"Wait": {"Min": 4 * SECOND, "Max": null}})),
        ("a mount's defaults", Task, "volume_mount {\n volume = \"v\"\n destination = \"/d\"\n}",
            json!({"VolumeMounts": [{"Volume": "v", "Destination": "/d", "ReadOnly": false, "PropagationMode": "private"}]})),
        ("a csi plugin's defaults", Task, "csi_plugin {\n id = \"p\"\n type = \"monolith\"\n}",
            json!({"CSIPluginConfig": {"ID": "p", "Type": "monolith", "MountDir": "/csi", "StagePublishBaseDir": "/local/csi", "HealthTimeout": 30 * SECOND}})),
        ("vertical scaling is left as written", Task, "scaling \"cpu\" {\n max = 500\n}\nscaling \"mem\" {\n min = 1\n max = 2\n enabled = false\n}",
            json!({"ScalingPolicies": [{"Type": "vertical_cpu", "Min": null, "Max": 500, "Enabled": null},
                {"Type": "vertical_mem", "Min": 1, "Max": 2, "Enabled": false}]})),
        ("a driver's blocks are lists of maps, in their order", Task,
            "config {\n n = 1\n f = 1.5\n mount {\n type = \"bind\"\n }\n mount {\n type = \"tmpfs\"\n options {\n size = 5\n }\n }\n empty {}\n}",
            json!({"Config": {"n": 1, "f": 1.5, "mount": [{"type": "bind"}, {"type": "tmpfs", "options": [{"size": 5}]}], "empty": [{}]}})),
    ]);
    rows
}

fn parsed(place: Place, text: &str) -> Job {
    let file = place.file(text);
    parse_hcl("job.hcl", &file, &ParseOptions::default())
        .unwrap_or_else(|findings| panic!("{file}\n{}", findings.render(false)))
        .job
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Where `ours` lacks what `expected` says.
fn difference(ours: Option<&Value>, expected: &Value, path: &str) -> Option<String> {
    let ours = ours.unwrap_or(&Value::Null);
    let differ = || Some(format!("{path}: {ours} is not {expected}"));
    match (ours, expected) {
        (ours, expected) if is_absent(expected) => {
            if is_absent(ours) {
                None
            } else {
                differ()
            }
        }
        (Value::Object(ours), Value::Object(expected)) => expected
            .iter()
            .find_map(|(key, value)| difference(ours.get(key), value, &format!("{path}/{key}"))),
        (Value::Array(list), Value::Array(expected)) if list.len() == expected.len() => expected
            .iter()
            .enumerate()
            .find_map(|(at, value)| difference(list.get(at), value, &format!("{path}/{at}"))),
        (ours, expected) if ours == expected => None,
        _ => differ(),
    }
}

#[test]
fn every_rule_of_the_specification_holds() {
    let rows = rows();
    assert!(rows.len() >= 60, "{}", rows.len());
    let mut bad = Vec::new();
    for (rule, place, text, expected) in rows {
        let mut job = parsed(place, text);
        job.canonicalize();
        let job = serde_json::to_value(&job).unwrap();
        if let Some(difference) = difference(job.pointer(place.pointer()), &expected, "") {
            bad.push(format!("{rule}: {difference}"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_rule_holds_in_yaml_and_json_as_well() {
    let mut bad = Vec::new();
    for (rule, place, text, _) in rows() {
        let mut job = parsed(place, text);
        let yaml = match convert(&job, Format::Yaml) {
            Ok(converted) => converted.text,
            Err(lost) => {
                bad.push(format!("{rule}, to YAML: {lost}"));
                continue;
            }
        };
        let json = serde_json::to_string_pretty(&json!({"Job": &job})).unwrap();
        job.canonicalize();
        let options = ParseOptions::default();
        match parse_yaml("job.yaml", &yaml, &options) {
            Ok(mut jobs) => {
                let mut read = jobs.remove(0).job;
                read.canonicalize();
                let (ours, expected) = (
                    serde_json::to_value(&read).unwrap(),
                    serde_json::to_value(&job).unwrap(),
                );
                if let Some(difference) = difference(Some(&ours), &expected, "") {
                    bad.push(format!("{rule}, in YAML: {difference}\n{yaml}"));
                }
            }
            Err(findings) => bad.push(format!("{rule}, in YAML: {findings}\n{yaml}")),
        }
        match parse_json("job.json", &json, &options) {
            Ok(parsed) => {
                let mut read = parsed.job;
                read.canonicalize();
                if read != job {
                    bad.push(format!("{rule}, in JSON: another job"));
                }
                if !parsed.warnings.list.is_empty() {
                    bad.push(format!("{rule}, in JSON: {}", parsed.warnings));
                }
            }
            Err(findings) => bad.push(format!("{rule}, in JSON: {findings}")),
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
