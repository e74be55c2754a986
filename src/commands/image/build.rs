//! `catamaran image build`: from descriptions to OCI layouts and archives.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::pure::image::compose::{self, Composed, Form};
use crate::pure::image::description::{Container, Description, Plugins};
use crate::pure::image::executable;
use crate::pure::image::facts::{Facts, Moment};
use crate::pure::image::layer;
use crate::pure::image::name::Name;
use crate::pure::image::platform::Platform;
use crate::pure::image::sbom::Sources;
use crate::shell::{oci, plugin_store};

/// The commit that the binary is built from, if whoever builds it says so.
const REVISION: Option<&str> = option_env!("CATAMARAN_REVISION");

/// Write an image as an OCI layout or archive
///
/// The same binary makes the same bytes each time. It is itself the program in
/// the image for this machine's platform.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to build
    image: Image,
    /// Platforms of the image [default: this machine's, and those of --binary]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    platform: Vec<Platform>,
    /// The statically linked catamaran for a platform
    #[arg(long, value_name = "OS/ARCH=PATH")]
    binary: Vec<Binary>,
    /// A folder that is empty or not there yet, or a file that ends in .tar
    #[arg(long, value_name = "DIR|FILE.tar")]
    output: PathBuf,
    /// The image's full name; plugins get a name each below it
    /// [default: localhost/catamaran:VERSION or the like]
    #[arg(long, value_name = "REGISTRY/NAME:TAG")]
    tag: Option<Name>,
    /// The time of everything in the image, in seconds since 1970
    #[arg(
        long,
        env = "SOURCE_DATE_EPOCH",
        value_name = "SECONDS",
        default_value = "0",
        value_parser = moment
    )]
    source_date_epoch: Moment,
    /// Print for machines what was made
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Image {
    /// The load balancer, with the standard plugins in it
    LoadBalancer,
    /// Each standard plugin as an artifact
    Plugins,
    /// The stand-in apiserver of the lab
    LabApiserver,
}

/// `linux/arm64=PATH`.
#[derive(Clone, Debug)]
struct Binary {
    platform: Platform,
    path: PathBuf,
}

/// Build, write, and say what was made.
pub fn run(args: &Args) -> ExitCode {
    match build(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("catamaran: {}", failure.why);
            failure.code
        }
    }
}

/// Why there is no image.
struct Failure {
    why: String,
    code: ExitCode,
}

impl Failure {
    /// It was asked for what cannot be.
    fn usage(why: impl Into<String>) -> Self {
        let (why, code) = (why.into(), ExitCode::from(2));
        Self { why, code }
    }
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        let (why, code) = (error.to_string(), ExitCode::FAILURE);
        Self { why, code }
    }
}

fn build(args: &Args) -> Result<(), Failure> {
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION"),
        licenses: env!("CARGO_PKG_LICENSE"),
        source: Some(env!("CARGO_PKG_REPOSITORY")).filter(|source| !source.is_empty()),
        revision: REVISION,
        created: args.source_date_epoch,
    };
    let form = match args.output.extension() {
        Some(extension) if extension == "tar" => Form::Archive,
        Some(_) | None => Form::Folder,
    };
    let composed = match Description::read(args.image.description())? {
        Description::Container(container) => compose_container(&container, args, &facts, form)?,
        Description::Plugins(plugins) => compose_plugins(&plugins, args, &facts, form)?,
    };
    match form {
        Form::Folder => oci::folder(&composed.files, &args.output)?,
        Form::Archive => oci::archive(&composed.files, &args.output, facts.created)?,
    }
    print(&composed, &args.output, args.json);
    Ok(())
}

fn compose_container(
    container: &Container,
    args: &Args,
    facts: &Facts,
    form: Form,
) -> Result<Composed, Failure> {
    let mut layers = BTreeMap::new();
    for (platform, path) in programs(args)? {
        let program = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        executable::check(&program, platform)
            .map_err(|unfit| format!("{} is not fit for an image: {unfit}", path.display()))?;
        let entries = layer::entries(container, &program);
        layers.insert(platform, oci::pack(&entries, facts.created)?);
    }
    let bill = sources()?.bill(env!("CARGO_PKG_NAME"), facts)?;
    let name = name(args, &container.name)?;
    Ok(compose::container(container, layers, &bill, &name, facts, form)?)
}

fn compose_plugins(plugins: &Plugins, args: &Args, facts: &Facts, form: Form) -> Result<Composed, Failure> {
    if !args.platform.is_empty() || !args.binary.is_empty() {
        return Err(Failure::usage(
            "plugins run on every platform: leave --platform and --binary out",
        ));
    }
    let sources = sources()?;
    let mut parts = Vec::new();
    for (name, plugin) in &plugins.plugins {
        parts.push(compose::Plugin {
            name,
            description: &plugin.description,
            component: plugin_store::read_standard(name)?,
            bill: sources.bill(&format!("catamaran-check-{name}"), facts)?,
        });
    }
    Ok(compose::plugins(
        &parts,
        &name(args, &plugins.name)?,
        facts,
        form,
    )?)
}

/// The program for each platform that is asked for.
fn programs(args: &Args) -> Result<BTreeMap<Platform, PathBuf>, Failure> {
    let mut at_hand = BTreeMap::new();
    for binary in &args.binary {
        if at_hand.insert(binary.platform, binary.path.clone()).is_some() {
            return Err(Failure::usage(format!(
                "there are two binaries for {}; name one",
                binary.platform
            )));
        }
    }
    if let Some(own) = Platform::of(env::consts::ARCH) {
        // Still there when somebody has replaced the file.
        at_hand.entry(own).or_insert_with(|| "/proc/self/exe".into());
    }
    if args.platform.is_empty() {
        return Ok(at_hand);
    }
    let wanted = args.platform.iter().map(|platform| {
        at_hand
            .get(platform)
            .map(|path| (*platform, path.clone()))
            .ok_or_else(|| Failure::usage(no_binary(*platform)))
    });
    wanted.collect()
}

fn no_binary(platform: Platform) -> String {
    let target = platform.target();
    format!(
        "there is no binary for {platform} here; build one, for instance with \
         `cargo build --release --target {target}`, and name it with \
         --binary {platform}=target/{target}/release/catamaran"
    )
}

fn name(args: &Args, image: &str) -> Result<Name, String> {
    match &args.tag {
        Some(name) => Ok(name.clone()),
        None => Name::local(image, env!("CARGO_PKG_VERSION")),
    }
}

fn sources() -> Result<Sources, String> {
    Sources::read(
        include_str!("../../../Cargo.lock"),
        include_str!("../../../Cargo.toml"),
    )
}

fn print(composed: &Composed, output: &Path, json: bool) {
    if json {
        let images: Vec<Value> = composed.images.iter().map(as_json).collect();
        println!("{:#}", json!({ "output": output, "images": images }));
        return;
    }
    for image in &composed.images {
        let megabytes = image.bytes as f64 / 1e6;
        println!(
            "{}  {}  {}  {megabytes:.2} MB",
            image.name, image.platform, image.digest
        );
    }
}

fn as_json(image: &compose::Image) -> Value {
    json!({
        "name": image.name,
        "platform": image.platform,
        "digest": image.digest,
        "bytes": image.bytes,
    })
}

fn moment(text: &str) -> Result<Moment, String> {
    let seconds = text
        .parse()
        .map_err(|_| format!("{text:?} is no time in seconds since 1970"))?;
    Moment::new(seconds)
}

impl Image {
    fn description(self) -> &'static str {
        match self {
            Self::LoadBalancer => include_str!("../../../images/load-balancer.toml"),
            Self::Plugins => include_str!("../../../images/plugins.toml"),
            Self::LabApiserver => include_str!("../../../images/lab-apiserver.toml"),
        }
    }
}

impl FromStr for Binary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (platform, path) = text
            .split_once('=')
            .ok_or_else(|| "a binary is OS/ARCH=PATH, as in linux/arm64=./catamaran".to_string())?;
        Ok(Self {
            platform: platform.parse()?,
            path: path.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn descriptions_are_good() {
        for image in Image::value_variants() {
            let read = Description::read(image.description());
            assert!(read.is_ok(), "{image:?}: {}", read.unwrap_err());
        }
    }

    #[test]
    fn every_standard_plugin_is_described() {
        let Ok(Description::Plugins(plugins)) = Description::read(Image::Plugins.description()) else {
            panic!("plugins.toml describes no plugins");
        };
        let described: Vec<_> = plugins.plugins.keys().map(String::as_str).collect();
        let standard: Vec<_> = plugin_store::STANDARD.iter().map(|(name, _)| *name).collect();
        assert_eq!(described, standard);
    }
}
