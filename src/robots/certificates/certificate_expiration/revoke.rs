//! Revoking certificates that somebody asked to be revoked.

use super::renew::refused;
use super::{Run, Unfit};
use crate::domain::inventory::chain;
use crate::robot::RobotError;
use crate::store::certificate_decision::Revocation;

impl Run<'_> {
    /// Has issuers revoke what is to be revoked. What fails is told of, and tried again by the next run.
    pub(super) async fn revoke_all(&mut self) -> Result<(), RobotError> {
        for revocation in self.ctx.store().certificate_revocations_open().await? {
            if self.is_over() {
                break;
            }
            let id = revocation.certificate;
            match self.revoke(&revocation).await {
                Ok(()) => {
                    self.tally.revoked += 1;
                    self.ctx.info(format!("certificate {id} is revoked"));
                }
                Err(Unfit::Store(error)) => return Err(error.into()),
                Err(Unfit::Because(reason, _)) => {
                    self.ctx
                        .warn(format!("certificate {id} is not revoked: {reason}"));
                    self.unrevoked.push((id, reason));
                }
            }
        }
        Ok(())
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<(), Unfit> {
        let issuer = self
            .known(revocation.issuer)
            .await
            .map_err(Unfit::because)?;
        let ders = chain(&revocation.pem).map_err(Unfit::because)?;
        let leaf = ders.first().map(Vec::as_slice).unwrap_or_default();
        let signer = self.signer(&issuer).await?;
        let revoked = signer.revoke(leaf, revocation.reason).await;
        revoked.map_err(refused)?;
        self.inventory
            .revoked(revocation.certificate, revocation.reason, self.by())
            .await?;
        Ok(())
    }
}
