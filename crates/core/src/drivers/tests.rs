use std::collections::BTreeMap;

use super::*;

fn size(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn driver(provisioner: &str) -> &'static Driver {
    by_provisioner(provisioner).unwrap().driver
}

fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const GOOD: &str = "\
name: x
title: X
looked-up: 2026-11
provisioners:
  - {name: x.example.com, source: https://example.com/x}
";

#[test]
fn every_shipped_file_is_read_and_no_name_has_two_drivers() {
    assert_eq!(faults(), []);
    assert_eq!(all().len(), FILES.len());
    assert!(FILES.len() > 30);
}

#[test]
fn every_fact_of_every_file_has_a_source() {
    for (name, text) in FILES {
        let driver = parse(name, text).unwrap();
        let sources = driver.sources();
        // A fact is what holds a source; there are as many in the text as were read.
        let written = text.matches("source:").count();
        assert_eq!(sources.len(), written, "{name}");
        let without = text.replace("source:", "sauce:");
        assert!(parse(name, &without).is_err(), "{name}");
    }
}

#[test]
fn every_value_of_every_file_reaches_the_command() {
    fn leaves(value: &serde_json::Value, all: &mut Vec<String>) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| leaves(item, all)),
            serde_json::Value::Object(fields) => {
                fields
                    .iter()
                    .filter(|(key, _)| *key != "is")
                    .for_each(|(_, item)| leaves(item, all));
            }
            serde_json::Value::String(text) => all.push(text.clone()),
            serde_json::Value::Number(number) => all.push(number.to_string()),
            _ => {}
        }
    }
    for (name, text) in FILES {
        let document = crate::yaml::YamlDocument::read(text).unwrap();
        let mut all = Vec::new();
        leaves(&serde_json::from_str(document.json()).unwrap(), &mut all);
        let driver = parse(name, text).unwrap();
        let found = Found { driver: &driver, provisioner: &driver.provisioners[0] };
        let page = page::explain(found);
        for value in all {
            // Sizes are printed in their largest unit.
            let printed =
                value.parse::<Quantity>().map_or_else(|_| value.clone(), |q| q.to_string());
            assert!(page.contains(&value) || page.contains(&printed), "{name}: {value}\n{page}");
        }
    }
}

#[test]
fn a_fault_has_line_and_column() {
    for (change, place, message) in [
        ("provisoners: []\n", (6, 1), "provisoners"),
        ("expansion: {is: sometimes, source: https://a.b}\n", (6, 17), "sometimes"),
        ("expansion: {is: online}\n", (6, 12), "source"),
        ("expansion: {is: online, source: a page}\n", (6, 33), "address"),
        ("rounding: [{unit: 0, source: https://a.b}]\n", (6, 19), "unit"),
        ("rounding: [{unit: 1GB, source: https://a.b}]\n", (6, 19), "1GB"),
        ("bounds: [{least: 2Gi, most: 1Gi, source: https://a.b}]\n", (6, 18), "above"),
        (
            "limits: [{changes: 0, hours: 1, text: x, source: https://a.b}]\n",
            (6, 10),
            "more than 0",
        ),
        ("title: Y\n", (6, 1), "title"),
    ] {
        let error = parse("x", &format!("{GOOD}{change}")).unwrap_err();
        assert!(error.message.contains(message), "{change}: {error}");
        assert_eq!((error.line, error.column), place, "{change}: {error}");
        assert!(error.to_string().starts_with("x.yaml:6:"), "{error}");
    }
    assert!(parse("x", GOOD).is_ok());
    assert!(parse("y", GOOD).unwrap_err().message.contains("y.yaml"));
    assert!(parse("x", "").is_err() && parse("x", "[").is_err());
    let both = GOOD.replace("{name: x.example.com,", "{name: a, suffix: b,");
    assert!(parse("x", &both).unwrap_err().message.contains("one of them"));
    assert!(parse("x", &GOOD.replace("2026-11", "2026-13")).is_err());
    let (drivers, faults) = read::table(&[("x", GOOD), ("x", GOOD), ("bad", "[")]);
    assert_eq!((drivers.all.len(), faults.len()), (2, 2), "{faults:?}");
}

#[test]
fn a_name_is_matched_whole_or_by_its_end() {
    for (name, expected) in [
        ("ebs.csi.aws.com", Some("aws-ebs")),
        ("kubernetes.io/aws-ebs", Some("aws-ebs")),
        ("rook-ceph.rbd.csi.ceph.com", Some("ceph-rbd")),
        ("rbd.csi.ceph.com", Some("ceph-rbd")),
        ("a.b.c.cephfs.csi.ceph.com", Some("cephfs")),
        ("xrbd.csi.ceph.com", None),
        ("rbd.csi.ceph.com.example.com", None),
        ("my.ebs.csi.aws.com", None),
        ("", None),
        (".", None),
        ("disks.example.com", None),
    ] {
        let found = by_provisioner(name).map(|found| found.driver.name.as_str());
        assert_eq!(found, expected, "{name}");
    }
    assert!(by_provisioner(&".".repeat(1 << 20)).is_none());
}

#[test]
fn only_drivers_that_never_expand_forbid_growth() {
    let never: Vec<&str> = all()
        .iter()
        .flat_map(|driver| driver.provisioners.iter().map(move |one| (driver, one)))
        .filter(|(driver, provisioner)| Found { driver, provisioner }.no_expansion().is_some())
        .filter_map(|(_, provisioner)| provisioner.name.as_deref())
        .collect();
    assert_eq!(
        never,
        [
            "efs.csi.aws.com",
            "kubernetes.io/rbd",
            "kubernetes.io/cephfs",
            "kubernetes.io/glusterfs",
            "rancher.io/local-path",
            "kubernetes.io/no-provisioner",
            "s3.csi.aws.com",
            "k8s-sigs.io/nfs-subdir-external-provisioner",
            "openebs.io/local",
            "kubernetes.io/storageos",
        ]
    );
}

#[test]
fn a_driver_gives_whole_units() {
    for (provisioner, asked, given) in [
        ("ebs.csi.aws.com", "10.5Gi", Some("11Gi")),
        ("ebs.csi.aws.com", "10Gi", Some("10Gi")),
        ("dobs.csi.digitalocean.com", "10.5Gi", Some("10Gi")),
        ("dobs.csi.digitalocean.com", "500Mi", Some("0")),
        ("rbd.csi.ceph.com", "100.5Mi", Some("101Mi")),
        ("rbd.csi.ceph.com", "1.5Gi", Some("2Gi")),
        ("efs.csi.aws.com", "10.5Gi", None),
        ("ebs.csi.aws.com", "1e30", None),
    ] {
        let found = driver(provisioner).given(&size(asked));
        assert_eq!(found, given.map(size), "{provisioner} {asked}");
    }
}

#[test]
fn bounds_and_patterns_depend_on_the_class() {
    let most = |pairs: &[(&str, &str)]| {
        let bounds = driver("ebs.csi.aws.com").bounds(&parameters(pairs))?;
        bounds.most.as_ref().map(ToString::to_string)
    };
    assert_eq!(most(&[("type", "gp2")]).as_deref(), Some("16Ti"));
    assert_eq!(most(&[("TYPE", "GP3")]).as_deref(), Some("64Ti"));
    assert_eq!(most(&[]), None, "the default type depends on the provisioner's name");
    let longhorn = |pairs: &[(&str, &str)], shared| {
        driver("driver.longhorn.io").pattern(&parameters(pairs), shared)
    };
    assert_eq!(longhorn(&[], false), Some(Pattern::Block));
    assert_eq!(longhorn(&[], true), Some(Pattern::File));
    assert_eq!(longhorn(&[("dataLocality", "strict-local")], false), Some(Pattern::Local));
    assert_eq!(driver("csi.trident.netapp.io").pattern(&parameters(&[]), false), None);
    let longhorn = |pairs: &[(&str, &str)], shared| {
        let fact = driver("driver.longhorn.io").database(&parameters(pairs), shared);
        fact.map(|fact| fact.is)
    };
    assert_eq!(longhorn(&[], true), Some(Fitness::Unfit));
    assert_eq!(longhorn(&[("nfsOptions", "hard")], true), None);
}

#[test]
fn an_azure_disk_passes_4_tib_only_while_detached() {
    let passes = |pairs: &[(&str, &str)], from, to| {
        let driver = driver("disk.csi.azure.com");
        driver.detaches_above(&parameters(pairs), &size(from), &size(to)).is_some()
    };
    assert!(passes(&[], "4Ti", "5Ti") || passes(&[], "4095Gi", "5Ti"));
    assert!(passes(&[("skuname", "premium_lrs")], "1Ti", "4096Gi"));
    assert!(!passes(&[], "1Ti", "4095Gi") && !passes(&[], "5Ti", "6Ti"));
    assert!(!passes(&[("skuName", "PremiumV2_LRS")], "1Ti", "5Ti"));
}
