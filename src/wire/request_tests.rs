use k8s_cri::{v1, v1alpha2};
use proptest::{collection::vec, option, prelude::*};
use prost::Message;

use super::*;

const SECRET: &str = "MARKER-SECRET";

fn read(message: &[u8], cut: usize) -> Option<Pull> {
    let mut parser = Parser::new(message.len() as u32);
    for part in message.chunks(cut.max(1)) {
        parser.feed(part);
        let state = format!("{parser:?}");
        let bytes = format!("{:?}", SECRET.as_bytes());
        assert!(!state.contains(SECRET) && !state.contains(bytes.trim_matches(['[', ']'])));
    }
    parser.finish()
}

fn full() -> v1::PullImageRequest {
    v1::PullImageRequest {
        image: Some(v1::ImageSpec {
            image: "registry/app:1".into(),
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            user_specified_image: "app:1".into(),
            runtime_handler: "runc".into(),
        }),
        auth: Some(v1::AuthConfig {
            username: format!("{SECRET}-name"),
            password: SECRET.repeat(1000),
            auth: SECRET.into(),
            server_address: "registry".into(),
            identity_token: SECRET.into(),
            registry_token: SECRET.into(),
        }),
        sandbox_config: Some(v1::PodSandboxConfig {
            metadata: Some(v1::PodSandboxMetadata {
                name: "pod".into(),
                uid: "0b0e".into(),
                namespace: "ns".into(),
                attempt: 300,
            }),
            hostname: "host".into(),
            log_directory: "/var/log".into(),
            dns_config: Some(v1::DnsConfig {
                servers: vec!["10.0.0.1".into()],
                ..Default::default()
            }),
            port_mappings: vec![v1::PortMapping { container_port: 80, ..Default::default() }],
            labels: [("l".to_owned(), "m".to_owned())].into(),
            annotations: [("n".to_owned(), "o".to_owned())].into(),
            linux: Some(v1::LinuxPodSandboxConfig::default()),
            windows: None,
        }),
    }
}

fn pull() -> Pull {
    Pull {
        image: Some("registry/app:1".into()),
        namespace: Some("ns".into()),
        pod: Some("pod".into()),
        pod_uid: Some("0b0e".into()),
    }
}

#[test]
fn a_request_is_read_wherever_it_is_cut_and_auth_leaves_no_trace() {
    let message = full().encode_to_vec();
    for cut in [1, 2, 3, 5, 7, 16, 100, 1000, message.len()] {
        assert_eq!(read(&message, cut), Some(pull()), "cut {cut}");
    }
}

#[test]
fn v1alpha2_is_the_same() {
    let message = v1alpha2::PullImageRequest {
        image: Some(v1alpha2::ImageSpec { image: "registry/app:1".into(), ..Default::default() }),
        auth: None,
        sandbox_config: Some(v1alpha2::PodSandboxConfig {
            metadata: Some(v1alpha2::PodSandboxMetadata {
                name: "pod".into(),
                uid: "0b0e".into(),
                namespace: "ns".into(),
                attempt: 0,
            }),
            ..Default::default()
        }),
    };
    assert_eq!(read(&message.encode_to_vec(), 4), Some(pull()));
}

#[test]
fn what_is_absent_is_unknown() {
    let message = v1::PullImageRequest { sandbox_config: None, ..full() };
    let expected = Pull { image: pull().image, ..Pull::default() };
    assert_eq!(read(&message.encode_to_vec(), 9), Some(expected));
    assert_eq!(read(&[], 1), Some(Pull::default()));
    let long = "x".repeat(LONGEST_IMAGE + 1);
    let image = Some(v1::ImageSpec { image: long, ..Default::default() });
    let message = v1::PullImageRequest { image, ..full() };
    assert_eq!(read(&message.encode_to_vec(), 9), Some(Pull { image: None, ..pull() }));
}

#[test]
fn fields_of_later_versions_are_passed_over() {
    let mut message = full().encode_to_vec();
    for field in [
        &[0xa0, 0x06, 0xff, 0x01][..],
        &[0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0xa5, 0x06, 1, 2, 3, 4],
        &[0xa2, 0x06, 3, 1, 2, 3],
    ] {
        message.extend_from_slice(field);
        assert_eq!(read(&message, 3), Some(pull()));
    }
}

#[test]
fn other_requests_are_not_taken_for_it() {
    let create = v1::CreateContainerRequest {
        pod_sandbox_id: "0a".repeat(32),
        config: Some(v1::ContainerConfig::default()),
        sandbox_config: full().sandbox_config,
    };
    assert!(read(&create.encode_to_vec(), 9).is_none_or(|pull| pull.image.is_none()));
    let run =
        v1::RunPodSandboxRequest { config: full().sandbox_config, runtime_handler: String::new() };
    assert!(read(&run.encode_to_vec(), 9).is_none_or(|pull| pull.pod_uid.is_none()));
    let status = v1::ImageStatusRequest { image: full().image, verbose: true };
    assert!(read(&status.encode_to_vec(), 9).is_none_or(|pull| pull.pod_uid.is_none()));
}

#[test]
fn a_message_that_breaks_the_rules_is_refused() {
    for message in [
        &[0x0a][..],
        &[0x0a, 0x05, 0x0a],
        &[0x0a, 0x03, 0x0a, 0x05, b'a'],
        &[0x0a, 0x03, 0x0a, 0x01, 0xff],
        &[0x08, 0x01],
        &[0x0b],
        &[0x02, 0x00],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ] {
        assert_eq!(read(message, 1), None, "{message:x?}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

prop_compose! {
    fn request()(
        image in option::of((text(), text())),
        auth in option::of(vec(any::<u8>(), 0..50)),
        sandbox in option::of((option::of((text(), text(), text(), any::<u32>())), text())),
    ) -> v1::PullImageRequest {
        v1::PullImageRequest {
            image: image.map(|(image, handler)| v1::ImageSpec {
                image,
                runtime_handler: handler,
                ..Default::default()
            }),
            auth: auth.map(|bytes| v1::AuthConfig {
                password: String::from_utf8_lossy(&bytes).into_owned(),
                ..Default::default()
            }),
            sandbox_config: sandbox.map(|(metadata, hostname)| v1::PodSandboxConfig {
                metadata: metadata.map(|(name, uid, namespace, attempt)| {
                    v1::PodSandboxMetadata { name, uid, namespace, attempt }
                }),
                hostname,
                ..Default::default()
            }),
        }
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What another protobuf decoder says.
fn by_prost(message: &[u8]) -> Option<Pull> {
    let request = v1::PullImageRequest::decode(message).ok()?;
    let metadata = request.sandbox_config.and_then(|c| c.metadata).unwrap_or_default();
    Some(Pull {
        image: request.image.and_then(|spec| filled(&spec.image)),
        namespace: filled(&metadata.namespace),
        pod: filled(&metadata.name),
        pod_uid: filled(&metadata.uid),
    })
}

proptest! {
    #[test]
    fn it_reads_what_prost_reads(request in request(), cut in 1_usize..50) {
        let message = request.encode_to_vec();
        prop_assert_eq!(read(&message, cut), by_prost(&message));
    }

    #[test]
    fn damage_is_refused_or_read_as_prost_reads_it(
        request in request(),
        cut in 1_usize..50,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut message = request.encode_to_vec();
        prop_assume!(!message.is_empty());
        for (at, byte) in damage {
            let at = at.index(message.len());
            message[at] = byte;
        }
        // Prost looks into fields that are skipped here, so it refuses more.
        if let (Some(ours), Some(theirs)) = (read(&message, cut), by_prost(&message)) {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(message in vec(any::<u8>(), 0..500), cut in 1_usize..50) {
        let mut parser = Parser::new(u32::MAX);
        for part in message.chunks(cut) {
            parser.feed(part);
            prop_assert!(parser.text.capacity() <= 4 * LONGEST_IMAGE);
        }
        read(&message, cut);
    }
}
