//! Compiles the kernel side of the capture, `src/capture/bpf`, with clang, and the agent's own API,
//! `proto`, with protoc.

use std::{env, error::Error, ffi::OsString, fs, path::Path, process::Command};

const SOURCES: &str = "src/capture/bpf";
const PROTO: &str = "proto/pullfuse/v1/pullfuse.proto";

fn main() {
    capture();
    if let Err(error) = api() {
        println!(
            "cargo::error={PROTO} cannot be compiled: {error}; install protoc (Debian: apt-get \
             install protobuf-compiler) or name one in the environment variable PROTOC"
        );
    }
}

fn api() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    // Also served, for programs that ask what can be asked.
    let descriptors = Path::new(&env::var("OUT_DIR")?).join("pullfuse.v1.bin");
    tonic_prost_build::configure()
        .file_descriptor_set_path(&descriptors)
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_protos(&[PROTO], &["proto"])?;
    // JSON as protobuf maps it, for `-o json`.
    pbjson_build::Builder::new()
        .register_descriptors(&fs::read(descriptors)?)?
        .emit_fields()
        .build(&[".pullfuse.v1"])?;
    Ok(())
}

fn capture() {
    for file in ["capture.bpf.c", "kernel.h", "sockets.h"] {
        println!("cargo::rerun-if-changed={SOURCES}/{file}");
    }
    println!("cargo::rerun-if-env-changed=CLANG");
    let arch = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => "x86",
        Ok("aarch64") => "arm64",
        _ => {
            println!("cargo::error=pullfuse runs on x86_64 and aarch64 only");
            return;
        }
    };
    let Some(out) = env::var_os("OUT_DIR") else {
        println!("cargo::error=OUT_DIR is not set: this program is run by cargo");
        return;
    };
    let clang = env::var_os("CLANG").unwrap_or_else(|| OsString::from("clang"));
    let compiled = Command::new(&clang)
        // `-g` makes the type information that adapts the program to the running kernel.
        .args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf", "-mcpu=v2"])
        .arg(format!("-D__TARGET_ARCH_{arch}"))
        .arg("-c")
        .arg(Path::new(SOURCES).join("capture.bpf.c"))
        .arg("-o")
        .arg(Path::new(&out).join("capture.bpf.o"))
        .status();
    match compiled {
        Ok(status) if status.success() => {}
        Ok(status) => println!("cargo::error=clang could not compile {SOURCES}: {status}"),
        Err(error) => println!(
            "cargo::error={} cannot be run: {error}; install clang 14 or newer (Debian: apt-get \
             install clang) or name one in the environment variable CLANG",
            clang.to_string_lossy()
        ),
    }
}
