//! The robots of this category.

mod daily_data;
mod executor;
