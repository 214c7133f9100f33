//! The robots of this category.

mod email_sender;
