//! Against a name server on loopback, whose answers the test decides.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use gateway_core::snapshot::Resolution;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record};
use tokio::net::UdpSocket;

use super::*;

/// What the server says to one question.
#[derive(Debug, Clone)]
enum Say {
    Addresses(u32, Vec<&'static str>),
    Code(ResponseCode),
    Nothing,
}

type Zone = Arc<Mutex<BTreeMap<&'static str, Say>>>;

/// A name server for `a.test.` and the like: answers what the zone says, NXDOMAIN otherwise.
struct NameServer {
    zone: Zone,
    address: SocketAddr,
    questions: watch::Receiver<Vec<String>>,
    _task: JoinSet<()>,
}

impl NameServer {
    async fn start(zone: &[(&'static str, Say)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone: Zone = Arc::new(Mutex::new(zone.iter().cloned().collect()));
        let (asked, questions) = watch::channel(Vec::new());
        let mut task = JoinSet::new();
        task.spawn(serve(socket, Arc::clone(&zone), asked));
        Self {
            zone,
            address,
            questions,
            _task: task,
        }
    }

    fn say(&self, name: &'static str, say: Say) {
        self.zone.lock().unwrap().insert(name, say);
    }

    fn config(&self) -> ResolverConfig {
        let mut udp = ConnectionConfig::udp();
        udp.port = self.address.port();
        ResolverConfig::from_name_servers(vec![NameServerConfig::new(
            self.address.ip(),
            true,
            vec![udp],
        )])
    }

    /// Waits until `count` questions have come.
    async fn asked(&mut self, count: usize) {
        let enough = self.questions.wait_for(|asked| asked.len() >= count);
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, enough).await.unwrap().unwrap();
    }
}

async fn serve(socket: UdpSocket, zone: Zone, asked: watch::Sender<Vec<String>>) {
    let mut buffer = [0; 1024];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let query = question.queries[0].clone();
        asked.send_modify(|asked| asked.push(format!("{} {}", query.name(), query.query_type())));
        let name = query.name().to_ascii().trim_end_matches('.').to_owned();
        let say = zone.lock().unwrap().get(name.as_str()).cloned();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query.clone());
        match say {
            Some(Say::Nothing) => continue,
            Some(Say::Code(code)) => answer.metadata.response_code = code,
            None => answer.metadata.response_code = ResponseCode::NXDomain,
            Some(Say::Addresses(ttl, addresses)) => {
                for address in addresses {
                    let data = RData::from(address.parse::<std::net::IpAddr>().unwrap());
                    if data.record_type() == query.query_type() {
                        answer.add_answer(Record::from_rdata(query.name().clone(), ttl, data));
                    }
                }
            }
        }
        socket
            .send_to(&answer.to_vec().unwrap(), from)
            .await
            .unwrap();
    }
}

fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn good(addresses: &[&str]) -> Resolution {
    Resolution::Addresses(addresses.iter().map(|text| text.parse().unwrap()).collect())
}

async fn until(watcher: &DnsWatcher, name: &str, wanted: &Resolution) {
    let mut answers = watcher.answers();
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, answers.wait_for(|now| now.get(name) == Some(wanted)))
        .await
        .unwrap_or_else(|_| panic!("{name} never became {wanted:?}"))
        .unwrap();
}

#[tokio::test]
async fn answers_are_sorted_and_ipv4_goes_before_ipv6() {
    let server = NameServer::start(&[
        ("two.test", Say::Addresses(60, vec!["10.0.0.2", "10.0.0.1"])),
        ("both.test", Say::Addresses(60, vec!["::2", "10.0.0.3"])),
        ("six.test", Say::Addresses(60, vec!["::6"])),
    ])
    .await;
    let watcher = DnsWatcher::start_with(server.config()).unwrap();
    let answers = watcher
        .watch(names(&["two.test", "both.test", "six.test"]), false)
        .await;
    assert_eq!(answers["two.test"], good(&["10.0.0.1", "10.0.0.2"]));
    assert_eq!(answers["both.test"], good(&["10.0.0.3"]));
    assert_eq!(answers["six.test"], good(&["::6"]));
}

#[tokio::test]
async fn a_change_is_seen_when_the_ttl_ends_and_only_a_change_is_told() {
    let mut server = NameServer::start(&[("a.test", Say::Addresses(1, vec!["10.0.0.1"]))]).await;
    let watcher = DnsWatcher::start_with(server.config()).unwrap();
    let mut answers = watcher.answers();
    watcher.watch(names(&["a.test"]), false).await;
    answers.borrow_and_update();

    // Asked again, and the same answer: nothing to tell.
    server.asked(3).await;
    assert!(!answers.has_changed().unwrap());

    server.say("a.test", Say::Addresses(1, vec!["10.0.0.1", "10.0.0.9"]));
    until(&watcher, "a.test", &good(&["10.0.0.1", "10.0.0.9"])).await;
    assert!(answers.has_changed().unwrap());
}

#[tokio::test]
async fn a_ttl_is_respected() {
    let mut server = NameServer::start(&[
        ("long.test", Say::Addresses(600, vec!["10.0.0.1"])),
        ("zero.test", Say::Addresses(0, vec!["10.0.0.1"])),
    ])
    .await;
    let watcher = DnsWatcher::start_with(server.config()).unwrap();
    let started = std::time::Instant::now();
    watcher
        .watch(names(&["long.test", "zero.test"]), false)
        .await;
    server.asked(4).await;
    let questions = server.questions.borrow().clone();
    let long = questions.iter().filter(|asked| asked.starts_with("long"));
    assert_eq!(long.count(), 1, "{questions:?}");
    // A TTL of nothing is taken for a second: two more questions take two.
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_failure_keeps_the_last_good_answer() {
    let mut server = NameServer::start(&[("a.test", Say::Addresses(1, vec!["10.0.0.1"]))]).await;
    let watcher = DnsWatcher::start_with(server.config()).unwrap();
    watcher.watch(names(&["a.test"]), false).await;
    server.say("a.test", Say::Code(ResponseCode::ServFail));
    let asked = server.questions.borrow().len();
    server.asked(asked + 2).await;
    let answers = watcher.watch(names(&["a.test"]), false).await;
    assert_eq!(answers["a.test"], good(&["10.0.0.1"]));

    // Gone altogether: the same.
    server.say("a.test", Say::Code(ResponseCode::NXDomain));
    let answers = watcher.watch(names(&["a.test"]), true).await;
    assert_eq!(answers["a.test"], good(&["10.0.0.1"]));

    server.say("a.test", Say::Addresses(1, vec!["10.0.0.2"]));
    until(&watcher, "a.test", &good(&["10.0.0.2"])).await;
}

#[tokio::test]
async fn names_without_an_answer_say_why() {
    let server = NameServer::start(&[
        ("refused.test", Say::Code(ResponseCode::Refused)),
        ("empty.test", Say::Addresses(60, vec![])),
        ("silent.test", Say::Nothing),
    ])
    .await;
    let watcher = DnsWatcher::start_with(server.config()).unwrap();
    let wanted = names(&["gone.test", "refused.test", "empty.test", "silent.test"]);
    let started = std::time::Instant::now();
    let answers = watcher.watch(wanted, false).await;
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "silence holds nobody up"
    );
    let failed = |reason: &str| Resolution::Failed(reason.to_owned());
    assert_eq!(answers["gone.test"], failed("no such name"));
    assert_eq!(answers["empty.test"], failed("the name has no address"));
    assert_eq!(answers["silent.test"], failed("no answer yet"));
    let Resolution::Failed(refused) = &answers["refused.test"] else {
        panic!("{answers:?}");
    };
    assert!(refused.starts_with("the name server answers"), "{refused}");
}

#[tokio::test]
async fn a_failed_name_is_asked_again_and_found() {
    let server = NameServer::start(&[]).await;
    let watcher = DnsWatcher::start_with(server.config()).unwrap();
    watcher.watch(names(&["late.test"]), false).await;
    server.say("late.test", Say::Addresses(60, vec!["10.0.0.7"]));
    until(&watcher, "late.test", &good(&["10.0.0.7"])).await;
}

#[tokio::test]
async fn watching_is_for_exactly_the_names_given_and_a_refresh_asks_all() {
    let mut server = NameServer::start(&[
        ("a.test", Say::Addresses(600, vec!["10.0.0.1"])),
        ("b.test", Say::Addresses(600, vec!["10.0.0.2"])),
    ])
    .await;
    let watcher = DnsWatcher::start_with(server.config()).unwrap();
    watcher.watch(names(&["a.test", "b.test"]), false).await;
    let answers = watcher.watch(names(&["b.test"]), false).await;
    assert_eq!(
        answers.keys().map(|name| &**name).collect::<Vec<_>>(),
        ["b.test"]
    );
    assert_eq!(
        server.questions.borrow().len(),
        2,
        "known answers are not asked for"
    );

    server.say("b.test", Say::Addresses(600, vec!["10.0.0.3"]));
    let answers = watcher.watch(names(&["b.test"]), true).await;
    assert_eq!(answers["b.test"], good(&["10.0.0.3"]));
    server.asked(3).await;
}

#[tokio::test]
async fn localhost_needs_no_name_server() {
    let server = NameServer::start(&[("localhost", Say::Nothing)]).await;
    let watcher = DnsWatcher::start_with(server.config()).unwrap();
    let answers = watcher.watch(names(&["localhost"]), false).await;
    assert_eq!(answers["localhost"], good(&["127.0.0.1"]));
    assert_eq!(server.questions.borrow().len(), 0);

    let system = DnsWatcher::start().unwrap();
    let answers = system.watch(names(&["localhost"]), false).await;
    assert_eq!(answers["localhost"], good(&["127.0.0.1"]));
}

#[test]
fn failures_are_retried_with_back_off() {
    let waits = [1, 2, 3, 4, 5, 6, 7, 1000].map(|failures| keeper::retry_after(failures).as_secs());
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
}
