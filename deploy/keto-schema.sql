-- Keto keeps its tables in a schema of its own, beside the diary's.
create schema keto;
