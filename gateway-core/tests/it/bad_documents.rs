//! What is wrong with a document, and what is said of it.
