-- Whether the permission backend agrees with the rows by now, as their `permission` tells.
case
    when permission.applied_generation < permission.generation then 'pending' else 'settled'
end as sharing
