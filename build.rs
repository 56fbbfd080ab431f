//! Tells the tests whether to leave out those that need a cluster, so that they count as ignored.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(without_cluster)");
    println!("cargo::rerun-if-env-changed=STATEWARD_TESTBED");
    if std::env::var("STATEWARD_TESTBED").is_ok_and(|value| value == "skip") {
        println!("cargo::rustc-cfg=without_cluster");
    }
}
