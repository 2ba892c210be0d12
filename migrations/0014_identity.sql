-- Which diary this is, to a permission backend that others could use as well. A copy of the database
-- is the same diary.

create table diary.identity (
    id uuid not null default gen_random_uuid(),
    only_one boolean not null default true,
    constraint identity_pkey primary key (only_one),
    constraint identity_is_one check (only_one)
);
insert into diary.identity default values;
