"""The words that users read: found in the source, held to rules, kept in other languages."""
