use proptest::prelude::*;

use super::*;

fn set(list: &str) -> CpuSet {
    list.parse().unwrap()
}

fn cores(text: &str) -> CoresRequest {
    text.parse().unwrap()
}

fn machine(allowed: &str, nodes: &[&str]) -> Topology {
    let nodes = nodes.iter().enumerate().map(|(id, list)| NumaNode { id, cpus: set(list) }).collect();
    Topology { allowed: set(allowed), nodes, quota_cpus: None }
}

const PLENTY: ShardLimits = ShardLimits { partitions: 1000, max_buffered_records: None };

fn chosen(topology: &Topology, request: &str, limits: &ShardLimits) -> Vec<usize> {
    let placement = plan(topology, &cores(request), ClientThreads::Shard, limits).unwrap();
    placement.shards.iter().map(|shard| shard.core).collect()
}

fn refusal(topology: &Topology, request: &str) -> String {
    plan(topology, &cores(request), ClientThreads::Shard, &PLENTY).unwrap_err().to_string()
}

#[test]
fn reads_every_form_and_prints_it_back() {
    for text in ["auto", "all", "4", "0-3,8", "0-0", "node:1"] {
        assert_eq!(cores(text).to_string(), text);
    }
    assert_eq!(cores("4"), CoresRequest::Count(NonZeroUsize::new(4).unwrap()));
    assert_eq!(cores(" 4 "), cores("4"));
    assert_eq!(cores("4-4"), CoresRequest::List(set("4")));
    for text in ["shard", "node", "any"] {
        assert_eq!(text.parse::<ClientThreads>().unwrap().to_string(), text);
    }
}

#[test]
fn refuses_what_it_cannot_read() {
    let error = |text: &str| text.parse::<CoresRequest>().unwrap_err();
    assert_eq!(error("0"), CoresParseError::Zero);
    for text in ["node:", "node:x", "node:-1", "node:99999999999999999999999"] {
        assert_eq!(error(text), CoresParseError::BadNode { text: text.into() });
    }
    assert_eq!(
        error("99999999999999999999999"),
        CoresParseError::TooMany { text: "99999999999999999999999".into() }
    );
    for text in ["", "AUTO", "3-1", "1,", "0x2", "-2", "3, "] {
        assert!(matches!(error(text), CoresParseError::BadList { .. }), "{text}");
    }
    let message = "Shard".parse::<ClientThreads>().unwrap_err().to_string();
    assert_eq!(message, "`--client-threads Shard`: write `shard`, `node` or `any`");
}

#[test]
fn auto_takes_no_more_than_is_useful() {
    let topology = machine("0-7", &["0-7"]);
    let count = |partitions, max_buffered_records| {
        chosen(&topology, "auto", &ShardLimits { partitions, max_buffered_records }).len()
    };
    assert_eq!(count(100, None), 8);
    assert_eq!(count(3, None), 3);
    assert_eq!(count(0, None), 1);
    assert_eq!(count(100, Some(1024)), 4);
    assert_eq!(count(100, Some(1023)), 3);
    assert_eq!(count(100, Some(1)), 1);
    for (quota, shards) in [(2, 2), (64, 8), (0, 1)] {
        let topology = Topology { quota_cpus: Some(quota), ..topology.clone() };
        assert_eq!(chosen(&topology, "auto", &PLENTY).len(), shards);
    }
}

#[test]
fn a_wish_is_obeyed_even_where_it_is_not_useful() {
    let topology = Topology { quota_cpus: Some(1), ..machine("0-3", &["0-3"]) };
    let limits = ShardLimits { partitions: 2, max_buffered_records: Some(1) };
    for request in ["all", "4", "0-3", "node:0"] {
        assert_eq!(chosen(&topology, request, &limits), [0, 1, 2, 3], "{request}");
    }
}

#[test]
fn nodes_take_turns() {
    let topology = machine("0-2,4-7", &["0-3", "4-7"]);
    assert_eq!(chosen(&topology, "4", &PLENTY), [0, 4, 1, 5]);
    assert_eq!(chosen(&topology, "all", &PLENTY), [0, 4, 1, 5, 2, 6, 7]);
}

#[test]
fn lists_and_nodes_are_taken_in_order() {
    let topology = machine("0-2,4-7", &["0-3", "4-7"]);
    assert_eq!(chosen(&topology, "5,1,0", &PLENTY), [0, 1, 5]);
    assert_eq!(chosen(&topology, "node:0", &PLENTY), [0, 1, 2]);
}

#[test]
fn a_refusal_says_what_there_is() {
    let topology = machine("0-1", &["0-3", "4-7"]);
    assert_eq!(refusal(&topology, "0-3"), "`--cores 0-3`: cores 2-3 are not allowed here; allowed: 0-1");
    assert!(
        refusal(&topology, "3")
            .starts_with("`--cores 3`: only 2 cores are allowed here (0-1); ask for fewer")
    );
    assert!(refusal(&topology, "node:2").ends_with("this machine has no such NUMA node; it has: 0-1"));
    assert!(refusal(&topology, "node:1").ends_with("nodes with allowed cores: 0"));

    let empty = Topology { allowed: CpuSet::default(), nodes: Vec::new(), quota_cpus: None };
    for request in ["auto", "all", "1", "0-0", "node:0"] {
        assert!(refusal(&empty, request).contains("may not run on any core"));
    }
    let nothing = CoresRequest::List(CpuSet::default());
    let error = plan(&topology, &nothing, ClientThreads::Shard, &PLENTY).unwrap_err();
    assert_eq!(error, PlacementError::NothingRequested);
}

#[test]
fn client_threads_get_the_cores_asked_for() {
    let topology = machine("0-2,4-7", &["0-3", "4-7"]);
    let client_cpus = |client_threads| {
        let placement = plan(&topology, &cores("4-5"), client_threads, &PLENTY).unwrap();
        assert_eq!(placement.control, topology.allowed);
        placement.shards.iter().map(|shard| shard.client_cpus.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(client_cpus(ClientThreads::Shard), ["4", "5"]);
    assert_eq!(client_cpus(ClientThreads::Node), ["4-7", "4-7"]);
    assert_eq!(client_cpus(ClientThreads::Any), ["0-2,4-7", "0-2,4-7"]);
}

#[test]
fn prints_a_table_with_notes() {
    let topology = Topology { quota_cpus: Some(1), ..machine("0-3", &["0-1", "2-3"]) };
    let limits = ShardLimits { partitions: 1, max_buffered_records: None };
    let placement = plan(&topology, &cores("2"), ClientThreads::Node, &limits).unwrap();
    let expected = "\
2 shards, client threads: node
shard  core  node  client cpus
    0     0     0  0-1
    1     2     1  2-3
all other threads: cpus 0-3
note: 1 of 2 shards will idle (partitions: 1)
note: the cgroup grants the time of 1 CPU: 2 shards will be throttled";
    assert_eq!(placement.to_string(), expected);
    let placement = plan(&topology, &cores("auto"), ClientThreads::Shard, &limits).unwrap();
    assert!(!placement.to_string().contains("note"), "{placement}");
}

proptest! {
    #[test]
    fn every_shard_has_a_core_of_its_own(
        allowed in proptest::collection::btree_set(0_usize..64, 1..64),
        nodes in proptest::collection::vec(proptest::collection::btree_set(0_usize..64, 0..32), 0..4),
        quota_cpus in proptest::option::of(0_usize..80),
        partitions in 0_usize..80,
        request in prop_oneof!["auto", "all", "[1-9]", "node:[0-4]", "[0-9]-[1-6][0-9]"],
    ) {
        let nodes = nodes.into_iter().enumerate();
        let nodes = nodes.map(|(id, cpus)| NumaNode { id, cpus: cpus.into_iter().collect() }).collect();
        let topology = Topology { allowed: allowed.into_iter().collect(), nodes, quota_cpus };
        let limits = ShardLimits { partitions, max_buffered_records: None };
        let Ok(request) = request.parse() else { return Ok(()) };
        if let Ok(placement) = plan(&topology, &request, ClientThreads::Node, &limits) {
            let used: CpuSet = placement.shards.iter().map(|shard| shard.core).collect();
            prop_assert!(!used.is_empty());
            prop_assert_eq!(used.len(), placement.shards.len());
            prop_assert!(used.difference(&topology.allowed).is_empty());
            for (index, shard) in placement.shards.iter().enumerate() {
                prop_assert_eq!(shard.index, index);
                prop_assert!(shard.client_cpus.contains(shard.core));
            }
        }
    }
}
