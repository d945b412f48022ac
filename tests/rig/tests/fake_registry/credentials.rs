//! Passwords and tokens, right and wrong.

use oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use pullfuse_rig::fake_registry::{Answer, FakeRegistry, Login, Tokens};
use pullfuse_rig::images;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::{MANIFEST, code, get, header, reference, registry, request, sample, soon};

async fn get_with_password(registry: &FakeRegistry, password: &str) -> Response {
    let request = request(registry, Method::GET, MANIFEST).basic_auth("robot", Some(password));
    soon(request.send()).await.unwrap()
}

async fn get_with_token(registry: &FakeRegistry, token: &str) -> Response {
    soon(request(registry, Method::GET, MANIFEST).bearer_auth(token).send()).await.unwrap()
}

/// Asks the token server as older clients do, and newer ones that have no password.
async fn ask_for_token(registry: &FakeRegistry, password: Option<&str>) -> Response {
    let path = "/token?service=fake&scope=repository%3Ateam%2Fapp%3Apull";
    let request = request(registry, Method::GET, path);
    let request = match password {
        Some(password) => request.basic_auth("robot", Some(password)),
        None => request,
    };
    soon(request.send()).await.unwrap()
}

async fn token(registry: &FakeRegistry, password: Option<&str>) -> String {
    let response = ask_for_token(registry, password).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["token"], body["access_token"]);
    body["token"].as_str().unwrap().to_owned()
}

fn login() -> Tokens {
    Tokens::Login(Login::new("robot", "right"))
}

#[tokio::test]
async fn a_password_opens_what_is_behind_it() {
    let registry = registry(Answer::basic("robot", "right", Answer::Image(sample())));
    let none = get(&registry, MANIFEST).await;
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&none, "www-authenticate"), "Basic realm=\"fake registry\"");
    assert_eq!(code(none).await, "UNAUTHORIZED");
    let wrong = get_with_password(&registry, "wrong").await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let right = get_with_password(&registry, "right").await;
    assert_eq!(right.status(), StatusCode::OK);
    registry.set("team/app", Answer::basic("robot", "right", Answer::Forbidden));
    let forbidden = get_with_password(&registry, "right").await;
    assert_eq!(forbidden.status(), StatusCode::FORBIDDEN);
    registry.set("team/app", Answer::Unauthorized);
    let never = get_with_password(&registry, "right").await;
    assert_eq!(never.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_opens_what_is_behind_it() {
    let registry = registry(Answer::bearer(login(), Answer::Image(sample())));
    let none = get(&registry, MANIFEST).await;
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    let realm = format!("Bearer realm=\"http://{}/token\"", registry.address());
    let challenge = format!("{realm},service=\"fake\",scope=\"repository:team/app:pull\"");
    assert_eq!(header(&none, "www-authenticate"), challenge);

    let anonymous = token(&registry, None).await;
    let refused = get_with_token(&registry, &anonymous).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = challenge + ",error=\"insufficient_scope\"";
    assert_eq!(header(&refused, "www-authenticate"), challenge);

    let wrong = ask_for_token(&registry, Some("wrong")).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(code(wrong).await, "UNAUTHORIZED");

    let right = token(&registry, Some("right")).await;
    assert_eq!(get_with_token(&registry, &right).await.status(), StatusCode::OK);

    let changed = Tokens::Login(Login::new("robot", "changed"));
    registry.set("team/app", Answer::bearer(changed, Answer::Image(sample())));
    let old = get_with_token(&registry, &right).await;
    assert_eq!(old.status(), StatusCode::UNAUTHORIZED, "the password has changed");
}

#[tokio::test]
async fn a_token_by_post() {
    let registry = registry(Answer::bearer(login(), Answer::Image(sample())));
    let ask = |password: &str| {
        let form = format!(
            "grant_type=password&service=fake&client_id=containerd-client\
             &scope=repository%3Ateam%2Fapp%3Apull&username=robot&password={password}"
        );
        let content = "application/x-www-form-urlencoded; charset=utf-8";
        let request = request(&registry, Method::POST, "/token");
        soon(request.header("content-type", content).body(form).send())
    };
    assert_eq!(ask("wrong").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let body: Value = ask("right").await.unwrap().json().await.unwrap();
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(get_with_token(&registry, token).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn tokens_for_anyone_for_nobody_and_from_a_broken_server() {
    let registry = registry(Answer::bearer(Tokens::Anyone, Answer::Image(sample())));
    let good = token(&registry, None).await;
    assert_eq!(get_with_token(&registry, &good).await.status(), StatusCode::OK);
    registry.set("team/app", Answer::bearer(Tokens::Insufficient, Answer::Image(sample())));
    let useless = token(&registry, Some("right")).await;
    let refused = get_with_token(&registry, &useless).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    for status in [StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
        registry.set("team/app", Answer::bearer(Tokens::Refused(status), Answer::NotFound));
        assert_eq!(ask_for_token(&registry, None).await.status(), status);
    }
}

#[tokio::test]
async fn a_client_logs_in_and_pulls() {
    let image = Answer::Image(sample());
    for answer in
        [Answer::basic("robot", "right", image.clone()), Answer::bearer(login(), image.clone())]
    {
        let registry = registry(Answer::NotFound);
        // Clients learn from `/v2/` what is wanted, hence the default.
        registry.set_default(answer);
        for (password, succeeds) in [("wrong", false), ("right", true)] {
            let pulled = images::client()
                .pull(
                    &reference(&registry, "private:1"),
                    &RegistryAuth::Basic("robot".to_owned(), password.to_owned()),
                    vec![IMAGE_LAYER_GZIP_MEDIA_TYPE],
                )
                .await;
            assert_eq!(pulled.is_ok(), succeeds, "{password}: {:?}", pulled.err());
        }
    }
}
