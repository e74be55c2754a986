//! What an ELF file says of itself: whether it can run in an image that has
//! nothing else in it.

use std::fmt;

use super::platform::Platform;

/// Why a binary is not fit for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not a 64 bit little-endian ELF file.
    NoElf,
    /// It ends within its headers.
    Truncated,
    /// It is for another machine.
    OtherMachine {
        /// The platform asked for.
        wanted: Platform,
        /// Its `e_machine`.
        machine: u16,
    },
    /// It wants a dynamic loader.
    Dynamic {
        /// The loader's path.
        loader: String,
    },
}

impl std::error::Error for Unfit {}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoElf => f.write_str("it is not a 64 bit little-endian ELF file"),
            Self::Truncated => f.write_str("it ends within its ELF headers"),
            Self::OtherMachine { wanted, machine } => {
                let found = Platform::ALL.into_iter().find(|one| machine_of(*one) == *machine);
                match found {
                    Some(platform) => write!(f, "it is for {platform}, not for {wanted}"),
                    None => write!(f, "it is for ELF machine {machine}, not for {wanted}"),
                }
            }
            Self::Dynamic { loader } => write!(
                f,
                "it wants {loader}, which the image does not have; it has to be linked statically"
            ),
        }
    }
}

/// Whether `file` runs on `platform` without any other file.
///
/// # Errors
///
/// Why not.
pub fn check(file: &[u8], platform: Platform) -> Result<(), Unfit> {
    const CLASS_64_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";
    if !file.starts_with(CLASS_64_LITTLE_ENDIAN) {
        return Err(Unfit::NoElf);
    }
    // ELF64: e_machine at 18, program headers at e_phoff, e_phentsize each, e_phnum of them.
    let machine = number(file, 18, 2)?;
    if machine != u64::from(machine_of(platform)) {
        return Err(Unfit::OtherMachine {
            wanted: platform,
            // Two bytes were read.
            machine: machine as u16,
        });
    }
    let (offset, size, count) = (number(file, 32, 8)?, number(file, 54, 2)?, number(file, 56, 2)?);
    for index in 0..count {
        let header = offset.checked_add(index * size).ok_or(Unfit::Truncated)?;
        if number(file, header, 4)? == PT_INTERP {
            let loader = part(file, number(file, header + 8, 8)?, number(file, header + 32, 8)?)?;
            let loader = String::from_utf8_lossy(loader);
            return Err(Unfit::Dynamic {
                loader: loader.trim_end_matches('\0').to_owned(),
            });
        }
    }
    Ok(())
}

/// The program header that names a loader.
const PT_INTERP: u64 = 3;

/// `EM_X86_64`, `EM_AARCH64`.
fn machine_of(platform: Platform) -> u16 {
    match platform {
        Platform::LinuxAmd64 => 62,
        Platform::LinuxArm64 => 183,
    }
}

fn number(file: &[u8], at: u64, bytes: u64) -> Result<u64, Unfit> {
    let bytes = part(file, at, bytes)?.iter().rev();
    Ok(bytes.fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn part(file: &[u8], at: u64, bytes: u64) -> Result<&[u8], Unfit> {
    let end = at.checked_add(bytes).and_then(|end| usize::try_from(end).ok());
    let start = usize::try_from(at).ok();
    start
        .zip(end)
        .and_then(|(start, end)| file.get(start..end))
        .ok_or(Unfit::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, one program header of a kind, and a loader's name.
    fn elf(machine: u16, kind: u8) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = kind;
        file[64 + 8] = 120;
        file[64 + 32] = 8;
        file.extend(b"/lib/ld\0");
        file
    }

    #[test]
    fn static_binary_of_the_right_machine_is_fit() {
        assert_eq!(check(&elf(62, 1), Platform::LinuxAmd64), Ok(()));
        assert_eq!(check(&elf(183, 1), Platform::LinuxArm64), Ok(()));
    }

    #[test]
    fn other_machines_are_named() {
        let refusal = |machine| check(&elf(machine, 1), Platform::LinuxArm64).unwrap_err();
        assert_eq!(
            refusal(62).to_string(),
            "it is for linux/amd64, not for linux/arm64"
        );
        assert_eq!(
            refusal(243).to_string(),
            "it is for ELF machine 243, not for linux/arm64"
        );
    }

    #[test]
    fn dynamic_binary_is_refused_with_its_loader() {
        assert_eq!(
            check(&elf(62, 3), Platform::LinuxAmd64),
            Err(Unfit::Dynamic {
                loader: "/lib/ld".into()
            })
        );
    }

    #[test]
    fn what_is_no_elf_file_or_only_its_beginning_is_refused() {
        assert_eq!(check(b"#!/bin/sh\n", Platform::LinuxAmd64), Err(Unfit::NoElf));
        let whole = elf(62, 3);
        for length in 6..whole.len() {
            assert_eq!(
                check(&whole[..length], Platform::LinuxAmd64),
                Err(Unfit::Truncated),
                "{length}"
            );
        }
        let mut far = whole.clone();
        far[32..40].fill(0xff);
        assert_eq!(check(&far, Platform::LinuxAmd64), Err(Unfit::Truncated));
    }
}
