//! Compiles the kernel side of the capture, `src/capture/bpf`, with clang.

use std::{env, ffi::OsString, path::Path, process::Command};

const SOURCES: &str = "src/capture/bpf";

fn main() {
    for file in ["capture.bpf.c", "kernel.h"] {
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
