-- What search knows of some entries, `e`, and of their documents, in columns: of each a single value.
coalesce(string_agg(uuid_send(e.id), ''), '') as ids,
coalesce(string_agg(int8send(document.revision), ''), '') as revisions,
coalesce(string_agg(boolsend(document.words_by is not distinct from %(words_by)s), ''), '') as worded,
coalesce(string_agg(timestamptz_send(e.created_at), ''), '') as created,
coalesce(string_agg(float8send(date_part('epoch', e.date) / 86400), ''), '') as days,
coalesce(string_agg(int8send(
    coalesce(hashtextextended(e.session, hashtextextended(e.owner, 0)), 0)
), ''), '') as sessions,
coalesce(string_agg(int4send(document.length::integer), ''), '') as lengths,
coalesce(string_agg(int4send(document.words::integer), ''), '') as words,
coalesce(string_agg(boolsend(document.asks), ''), '') as is_question,
coalesce(string_agg(int4send(
    case when document.vectors_by = %(model)s then octet_length(document.vectors) else 0 end
), ''), '') as vector_sizes,
coalesce(string_agg(
    case when document.vectors_by = %(model)s then document.vectors else '' end, ''
), '') as vectors,
coalesce(array_agg(e.author), '{}') as authors
