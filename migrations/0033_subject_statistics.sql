-- PostgreSQL plans a statement once for whoever asks. Where one agent owns nearly all there is, it
-- took every subject for that one, and to find an agent's groups it read all relation tuples.
alter table diary.relation_tuple alter column subject_id set (n_distinct = -0.1);
analyze diary.relation_tuple;
