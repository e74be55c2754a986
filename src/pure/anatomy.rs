//! What a component is made of, read without compiling it.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{
    BinaryReaderError, ComponentExternalKind, ComponentTypeRef, Instance, KnownCustom, Parser, Payload,
    ProducersSectionReader,
};

use super::component;

/// Bytes of a page of memory.
const PAGE: u64 = 65_536;

/// A component's parts, as far as they concern whoever runs or writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anatomy {
    /// Names of what it imports, in its order, types apart.
    pub imports: Vec<String>,
    /// Names of what it exports.
    pub exports: Vec<String>,
    /// Whether one of the exports is a function named `check`.
    check: bool,
    /// Bytes of memory that an instance begins with.
    pub memory: u64,
    /// Core instances that one instance of it is made of.
    pub core_instances: u32,
    /// What it was made with, as its largest module and the component itself
    /// say (the others are adapters): `language`, `sdk` or `processed-by`, and
    /// of each the tools with their versions.
    pub producers: BTreeMap<String, BTreeSet<(String, String)>>,
}

impl Anatomy {
    /// Read a component.
    ///
    /// # Errors
    /// A sentence that says why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if !component::is_component(bytes) {
            return Err(match bytes.starts_with(b"\0asm") {
                true => "a WebAssembly module; `catamaran plugin build` makes components of them".into(),
                false => "not WebAssembly".into(),
            });
        }
        let mut anatomy = Self::default();
        let mut place = Place::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(|error| format!("not a whole component: {error}"))?;
            if place.enter(&payload) {
                anatomy.producers.clear();
            }
            anatomy
                .add(payload, &place)
                .map_err(|error| format!("not a whole component: {error}"))?;
        }
        Ok(anatomy)
    }

    /// Whether it is a check: exports a function of that name.
    pub fn is_check(&self) -> bool {
        self.check
    }

    /// The contract's highest version among its imports.
    pub fn contract(&self) -> Option<&str> {
        self.imports
            .iter()
            .filter_map(|import| import.strip_prefix("catamaran:health/")?.split_once('@'))
            .map(|(_, version)| version)
            .max()
    }

    /// The world that it needs; a check that only thinks needs neither.
    pub fn world(&self) -> &'static str {
        let uses = |interface: &str| self.imports.iter().any(|import| import.starts_with(interface));
        match (
            uses("catamaran:health/http@"),
            uses("catamaran:health/connection@"),
        ) {
            (true, true) => "full-check",
            (false, true) => "stream-check",
            (true, false) | (false, false) => "http-check",
        }
    }

    fn add(&mut self, payload: Payload<'_>, place: &Place) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(section) if place.is_top() => {
                for import in section {
                    let import = import?;
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        self.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if place.is_top() => {
                for export in section {
                    let export = export?;
                    self.check |= export.name.name == "check" && export.kind == ComponentExternalKind::Func;
                    self.exports.push(export.name.name.to_owned());
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memory += memory?.initial.saturating_mul(PAGE);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    self.core_instances += u32::from(matches!(instance?, Instance::Instantiate { .. }));
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Producers(producers) = section.as_known()
                    && place.tells()
                {
                    self.produced(producers)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn produced(&mut self, producers: ProducersSectionReader<'_>) -> Result<(), BinaryReaderError> {
        for field in producers {
            let field = field?;
            let tools = self.producers.entry(field.name.to_owned()).or_default();
            for value in field.values {
                let value = value?;
                tools.insert((value.name.to_owned(), value.version.to_owned()));
            }
        }
        Ok(())
    }
}

/// Where in a component a section stands.
#[derive(Default)]
struct Place {
    /// Of what is open around it, sizes of modules and 0 for components.
    open: Vec<usize>,
    /// Size of the largest module so far.
    largest: usize,
}

impl Place {
    /// Go on; whether the largest module so far begins.
    fn enter(&mut self, payload: &Payload<'_>) -> bool {
        match payload {
            Payload::ModuleSection { unchecked_range, .. } => self.open.push(unchecked_range.len()),
            Payload::ComponentSection { .. } => self.open.push(0),
            Payload::End(_) => drop(self.open.pop()),
            _ => return false,
        }
        let size = self.open.last().copied().unwrap_or(0);
        let larger = size > self.largest;
        self.largest = self.largest.max(size);
        larger
    }

    fn is_top(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether it is worth knowing what this was made with.
    fn tells(&self) -> bool {
        self.open.last().is_none_or(|size| *size == self.largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: &str = r#"(component
        (import "catamaran:health/log@1.0.0" (instance))
        (import "catamaran:health/connection@1.2.0" (instance))
        (core module $m (memory 2) (func (export "check")))
        (core instance $i (instantiate $m))
        (func $check (canon lift (core func $i "check")))
        (export "check" (func $check)))"#;

    #[test]
    fn parts_of_a_check_are_found() {
        let anatomy = Anatomy::read(&wat::parse_str(CHECK).unwrap()).unwrap();
        assert_eq!(anatomy.imports.len(), 2);
        assert_eq!(anatomy.exports, ["check"]);
        assert!(anatomy.is_check());
        assert_eq!((anatomy.memory, anatomy.core_instances), (2 * PAGE, 1));
        assert_eq!(anatomy.contract(), Some("1.2.0"));
        assert_eq!(anatomy.world(), "stream-check");
    }

    #[test]
    fn largest_module_and_the_component_tell_what_they_were_made_with() {
        let producers = |tool: &str| {
            let (length, end) = (tool.len(), tool.len() + 16);
            assert!(end < 128);
            format!(r#"(@custom "producers" "\01\0cprocessed-by\01\{length:02x}{tool}\010")"#)
        };
        let module = |tool: &str, size: usize| {
            format!(
                "(core module {} (memory 1) (data (i32.const 0) \"{}\"))",
                producers(tool),
                "x".repeat(size)
            )
        };
        let text = format!(
            "(component {} {} {} {})",
            module("small", 1),
            module("large", 99),
            module("tiny", 0),
            producers("whole")
        );
        let anatomy = Anatomy::read(&wat::parse_str(text).unwrap()).unwrap();
        let tools: Vec<_> = anatomy.producers["processed-by"]
            .iter()
            .map(|(tool, _)| tool.as_str())
            .collect();
        assert_eq!(tools, ["large", "whole"]);
    }

    #[test]
    fn what_is_no_component_is_named() {
        assert_eq!(Anatomy::read(b"text"), Err("not WebAssembly".into()));
        let module = wat::parse_str("(module)").unwrap();
        assert!(
            Anatomy::read(&module)
                .unwrap_err()
                .starts_with("a WebAssembly module")
        );
        let whole = wat::parse_str(CHECK).unwrap();
        let cut = Anatomy::read(&whole[..whole.len() - 3]).unwrap_err();
        assert!(cut.starts_with("not a whole component"), "{cut}");
    }
}
