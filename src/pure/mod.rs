//! Floor 0: decisions. Values and `now` come in, values go out; nothing here
//! opens a socket, reads a file or a clock, or logs.
//!
//! - [`addr`]: address types shared by all rooms
//! - [`anatomy`]: what a component is made of
//! - [`balancer`]: which endpoint takes a connection
//! - [`component`]: what is in a plugin's file
//! - [`config`]: the document, from text to checked values
//! - [`digest`]: digests of content
//! - [`exchange`]: recorded exchanges of plugins and endpoints, and their replay
//! - [`health`]: from findings of single probes to up and down
//! - [`image`]: from descriptions to the files of OCI images
//! - [`manifest`]: what makes a service manager run a document's load balancer
//! - [`registry`]: names, logins and answers of image registries
//! - [`vrrp`]: which router holds the virtual addresses

pub mod addr;
pub mod anatomy;
pub mod balancer;
pub mod component;
pub mod config;
pub mod digest;
pub mod exchange;
pub mod health;
pub mod image;
pub mod manifest;
pub mod registry;
pub mod vrrp;
