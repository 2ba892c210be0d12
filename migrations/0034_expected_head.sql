-- Whoever signs a change where it expects the chain to end has no answer to wait for. Where the
-- chain ends elsewhere, nothing of the transaction may stay.
create function diary.require_expected_head(is_there boolean) returns void
language plpgsql
as $$
begin
    if not is_there then
        raise exception 'The chain does not end where it was expected to.'
        using
            errcode = 'integrity_constraint_violation',
            schema = 'diary',
            table = 'chain_head',
            constraint = 'chain_goes_on_from_its_head';
    end if;
end;
$$;
