//! A real broker that lets in only whom it knows: TLS, SASL and access rights, each on a listener of its own.
//!
//! Its plain listener lets everybody do everything; topics are made there, and looked at. Users of the others may
//! do nothing that [`Secured::grant`] does not allow them, except for [`PROVER`] and the client's certificate.

use std::sync::OnceLock;

use tempfile::TempDir;

use super::{
    Cluster, Run, Topic,
    cluster::NoCluster,
    janitor,
    pki::Pki,
    ports, wait_until,
    wire::{Operation, Resource, Right, Wire},
};

/// A user who may do everything, with every mechanism.
pub const PROVER: &str = "prover";
/// The password of every user, which no output may show.
pub const PASSWORD: &str = "s3cret-of-a-user";

/// Users who may do nothing of their own accord; each test takes one for itself.
const USERS: &[&str] = &[
    "anna", "berta", "carla", "dora", "emma", "frida", "greta", "hanna", "ida", "julia", "karla", "lena",
    "mara", "nora", "nell",
];

/// How a client gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `SASL_PLAINTEXT`
    Sasl,
    /// `SSL`
    Tls,
    /// `SSL`, with a certificate of the client
    MutualTls,
    /// `SASL_SSL`
    SaslTls,
    /// `PLAINTEXT`, advertised under a name that does not resolve
    Lost,
}

pub struct Secured {
    cluster: Cluster,
    ports: [u16; 5],
    pub pki: Pki,
    _folder: TempDir,
}

impl Secured {
    /// The one that all tests share.
    pub fn shared() -> Result<&'static Self, NoCluster> {
        static SHARED: OnceLock<Result<Secured, NoCluster>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref().map_err(Clone::clone)
    }

    fn start() -> Result<Self, NoCluster> {
        let folder = janitor::folder();
        let pki = Pki::make(folder.path());
        let (base, ports) = (ports::free_pair(), [(); 5].map(|()| ports::free_port()));
        let config = config(base, ports, &pki);
        let config: Vec<&str> = config.lines().collect();
        let cluster = Cluster::start_at(Some(base), 1, &config)?;
        let mut wire = Wire::to(cluster.bootstrap());
        for user in USERS.iter().chain([&PROVER]) {
            wire.add_scram_user(user, PASSWORD);
        }
        Ok(Self { cluster, ports, pki, _folder: folder })
    }

    /// The broker as its plain listener shows it.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub fn topic(&self, partitions: usize) -> Topic {
        self.cluster.topic(partitions)
    }

    /// What the broker says it is at [`Door::Lost`].
    pub fn lost_address(&self) -> String {
        lost(self.ports[Door::Lost as usize])
    }

    pub fn address(&self, door: Door) -> String {
        format!("127.0.0.1:{}", self.ports[door as usize])
    }

    /// A verifier of this topic that comes in by a door; who it is comes with further arguments.
    pub fn verifier(&self, door: Door, topic: &Topic) -> Run {
        let run = Run::verifier().args(format!("--brokers {} --topic {}", self.address(door), topic.name()));
        match door {
            Door::Sasl | Door::Lost => run,
            Door::Tls | Door::MutualTls | Door::SaslTls => run.args("--enable-tls"),
        }
    }

    /// One that logs in with SCRAM, as a user of [`USERS`] or [`PROVER`].
    pub fn verifier_of(&self, user: &str, topic: &Topic) -> Run {
        let run = self.verifier(Door::Sasl, topic).args(format!("--username {user}"));
        run.env("PROOFLOAD_PASSWORD", PASSWORD)
    }

    /// Gives a user a right; returns when the broker acts on it.
    pub fn grant(&self, user: &str, resource: Resource<'_>, operation: Operation) {
        let (mut wire, right) = (Wire::to(self.cluster.bootstrap()), Right { user, resource, operation });
        wire.grant(&right);
        wait_until("a right", || wire.knows(&right));
    }

    /// Takes it away again.
    pub fn revoke(&self, user: &str, resource: Resource<'_>, operation: Operation) {
        let (mut wire, right) = (Wire::to(self.cluster.bootstrap()), Right { user, resource, operation });
        wire.revoke(&right);
        wait_until("no right", || !wire.knows(&right));
    }
}

/// A name that no DNS may have (RFC 2606).
fn lost(port: u16) -> String {
    format!("kafka.invalid:{port}")
}

/// The listeners and who may do what there, in addition to what `scripts/kafka` says.
fn config(base: u16, ports: [u16; 5], pki: &Pki) -> String {
    let [sasl, tls, mutual, sasl_tls, lost_port] = ports;
    let controller = base + 1;
    let (own, ca, client) = (pki.broker(), pki.ca(), Pki::CLIENT);
    let doors = format!(
        "PLAINTEXT://127.0.0.1:{base},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},\
         MUTUAL://127.0.0.1:{mutual},SASLTLS://127.0.0.1:{sasl_tls}"
    );
    let modules = "org.apache.kafka.common.security";
    let users = USERS.iter().chain([&PROVER]).map(|user| format!("user_{user}=\"{PASSWORD}\""));
    let users = users.collect::<Vec<_>>().join(" ");
    let login = |door| {
        format!(
            "listener.name.{door}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required {users};\n\
             listener.name.{door}.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n\
             listener.name.{door}.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n\
             listener.name.{door}.oauthbearer.sasl.jaas.config={modules}.oauthbearer.OAuthBearerLoginModule \
             required unsecuredLoginStringClaim_sub=\"broker\";\n\
             listener.name.{door}.oauthbearer.connections.max.reauth.ms=3600000\n\
             listener.name.{door}.scram-sha-512.connections.max.reauth.ms=3000"
        )
    };
    let logins = ["sasl", "sasltls"].map(login).join("\n");
    let lost = lost(lost_port);
    format!(
        "listeners={doors},LOST://127.0.0.1:{lost_port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners={doors},LOST://{lost}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOST:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,\
         MUTUAL:SSL,SASLTLS:SASL_SSL\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
         {logins}\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={own}\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location={ca}\n\
         listener.name.mutual.ssl.client.auth=required\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS;User:{PROVER};User:CN={client}\n"
    )
}
