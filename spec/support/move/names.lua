-- What is called otherwise since then: old name = new one, in C sources and in `code` of the documents.
return {
}
