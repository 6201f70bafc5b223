//! Evidence, findings and reports of kubectl-eksnet, without IO
