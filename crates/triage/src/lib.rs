//! Joins findings into diagnoses and renders reports
