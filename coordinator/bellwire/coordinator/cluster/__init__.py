"""Several coordinators, one of them active: a lease says who tries, the store's fence says who may write."""
