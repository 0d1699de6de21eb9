//! Connectors written in the low-code connector language: `manifest.yaml` files, read as they are.

pub(crate) mod interpolate;
