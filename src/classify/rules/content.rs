//! What was received: signature, certificate, kind, platform, bytes.

use super::{Class, Rule, advice, text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "signature",
        class: Class::Signature,
        when: text(
            r"source image rejected|signaturevalidationfailed|signature (?:validation|verification) failed|failed signature|(?:rejected|denied|blocked) by (?:the )?(?:image )?(?:signature )?policy|signature was required|no signature exists|signatures? for (?:identity|digest|image)|none of the signatures|invalid (?:gpg )?signature|no (?:matching|valid) signatures?|blocked pull of|blocking pull of|no valid trust data|remote trust data|image signature mandatory|manifest_?unverified|no signature verification policy|cosign|notation: |notary",
        ),
        seen: "CRI-O with a policy.json; containerd with an image verifier; Docker Content Trust",
        advice: advice::SIGN,
    },
    Rule {
        id: "certificate",
        class: Class::X509,
        when: text(
            r"\bx509\b|certificate (?:is|has|was|signed|verify|verification|required|unknown|chain|expired)|unknown (?:certificate )?authority|verify (?:the )?certificate|bad certificate|expired certificate|revoked certificate|unable to (?:read|load) (?:ca|client) cert|read cert file|failed to load (?:ca|cert|x509)|missing (?:key|client certificate) ~",
        ),
        seen: "any runtime, an own CA, an expired certificate, another name, a wrong client key",
        advice: "the node does not trust the registry's certificate: renew it, or add its CA to the \
            node",
    },
    Rule {
        id: "tls",
        class: Class::TlsProtocol,
        when: text(
            r"handshake failure|protocol version not supported|unsupported protocol|no supported versions|unrecognized name|no application protocol|\btls: |\bssl(?:_| )(?:error|routines)",
        ),
        seen: "any runtime, a registry with an old TLS or another virtual host",
        advice: "TLS could not be agreed on: check the registry's TLS version, ciphers and name",
    },
    Rule {
        id: "platform",
        class: Class::PlatformMismatch,
        when: text(
            r"no match(?:ing manifest)? for platform|no matching manifest|no image found in (?:the )?(?:manifest list|image index)|no manifest found for platform|does not match the (?:specified|requested|expected) platform|does not support platform|does not provide the specified platform|cannot be used on this platform|unsupported operating system|image operating system|with operating system .* when requesting|requested platform .* not found|no child with platform|-based image is incompatible with|unsupported (?:os|architecture|platform)\b|platform .* (?:is )?not supported|no images? (?:found|providing) .*platform|exec format error|architecture mismatch",
        ),
        seen: "containerd (with code NotFound), CRI-O, dockerd; an image built for other machines",
        advice: "the image is not built for this node's platform: build it for that too, or choose \
            nodes with nodeSelector kubernetes.io/arch",
    },
    Rule {
        id: "schema-1",
        class: Class::UnsupportedSchema1,
        when: text(
            r"no signatures\b|schema ?(?:version )?1\b|prettyjws|no longer supported since containerd|image format v1\b|missing signature key|schema1",
        ),
        seen: "containerd 1.6 (`no signatures`) to 2.1, dockerd",
        advice: "the image has the old manifest of schema 1: pull it with an old Docker and push it \
            again, or rebuild it",
    },
    Rule {
        id: "page-instead-of-image",
        class: Class::UnexpectedMediaType,
        when: text(
            r"\btext/(?:html|plain|xml)|unexpected media type application/(?:json|xml|octet-stream)\b|\(application/(?:json|xml)\)|looking for beginning of|invalid character|unexpected end of json|cannot unmarshal|missing or empty content-type|unexpected content-type|unable to decode token|did not include a token|in header not a valid digest|no realm specified",
        ),
        seen: "containerd (with code NotFound), CRI-O, dockerd; a login page or a proxy's page",
        advice: "something answers in the registry's place, such as a login or proxy page: open the \
            registry's address from the node",
    },
    Rule {
        id: "blob-of-a-known-kind-missing",
        class: Class::NotFound,
        when: text(
            r"\(application/(?:vnd\.oci\.image|vnd\.docker\.(?:distribution|image|container))[^)]*\) from remote: not found",
        ),
        seen: "containerd, a layer that the registry lost: the manifest is there",
        advice: "the registry has the image's manifest but lacks a part of it: push the image again",
    },
    Rule {
        id: "not-an-image",
        class: Class::UnsupportedMediaType,
        when: text(
            r"\(application/[^)]*\) from remote: not found|unexpected media type|mismatched image rootfs|unsupported (?:manifest |layer |config |image |docker ~? ?|oci ?v?1? ?)*(?:media ?type|mime type|content type|manifest type|manifest format|type)\b|un(?:known|recogni[sz]ed) (?:manifest |image |layer |config |image config )*(?:media ?type|mime type|manifest type|type)|media ?type .*not supported|application/.* not supported|unsupported schema version|unsupported manifest|unimplemented when converting|no processor for media-type|encountered remote ~|is not (?:a|an) (?:container |oci )?image\b|invalid mixed oci|mediatype in manifest should|media-type: |unsupported image-specific operation|number of layers and diffids don't match|layers from manifest don't match|byte manifest for ~: not found|content size of zero|invalid rootfs in image|descriptor isn't a manifest|descriptor is neither",
        ),
        seen: "containerd, CRI-O and dockerd; a Helm chart, a WASM module or another artifact",
        advice: "what is stored under this name is no container image that the runtime can run: use \
            the name of an image",
    },
    Rule {
        id: "digest",
        class: Class::DigestMismatch,
        when: text(
            r"unexpected commit (?:digest|size)|manifest would not match|digest did not match|(?:digest|size|checksum|hash|length) mismatch|does not match (?:provided |selected )?manifest digest|manifest digest .* does not match|does not match (?:the )?(?:expected )?(?:digest|size|checksum)\b|verification failed for (?:digest|layer)|failed to verify: ~|unexpected (?:digest|size)\b|read exceeds expected size|read past expected size|provided (?:digest|length) did not match|incorrect content|failed size validation|error verifying|checksum",
        ),
        seen: "containerd (code FailedPrecondition), CRI-O, dockerd; a broken mirror or cache",
        advice: "the content is not what its digest says: it was damaged on the way or in a mirror's \
            cache; if it goes on, clear that cache",
    },
    Rule {
        id: "unpack",
        class: Class::UnpackError,
        when: text(
            r"failed to (?:extract|register|apply) layer|failed to unpack|unpacking failed|unpack failed|error unpacking|invalid tar header|archive/tar|processing tar|applylayer|mount callback failed|config's diffid|wrong diff id|invalid diffid|gzip: |flate: |zstd|magic number|unsupported compression|snapshotter|(?:prepare|stat|commit) (?:extraction )?snapshot|extraction snapshot|parent snapshot|\blchown\b|\bchown\b|untar\b|unlinkat|unpigz|whiteout|adding layer with blob|decompress|layer not known|layer is (?:missing|not)|layer does not exist|layer .* (?:was )?not found \(corruption|error creating overlay|failed to mount|subuid|lsetxattr|operation not permitted|\b(?:mkdir|open|write|link|rename|chmod|remove|mknod|symlink|stat|lstat|unlink) ~( ~)?: ",
        ),
        seen: "containerd, CRI-O and dockerd; a damaged layer, or a file system that cannot hold it",
        advice: "a layer could not be unpacked on the node: try another node; if it fails there too, \
            build and push the image again",
    },
];
