//! Conversion: a record becomes an image.
