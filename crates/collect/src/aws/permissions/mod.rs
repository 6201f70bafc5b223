//! What the roles of the components may do, asked of IAM.

mod questions;
mod roles;
mod simulate;

pub use questions::{ContextValue, Question};
pub use roles::{Roles, roles_to_simulate};
pub use simulate::{RoleSource, RoleToSimulate};
