//! The wire form of AdmissionReview v1; nobody else knows it.
